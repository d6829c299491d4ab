"""Find what is wrong with a config before a GPU hour is spent on it."""
from collections.abc import Iterator

from mmengine.config import Config
from mmengine.registry import DefaultScope

from eca_mm.engine.config import check_parts
from eca_mm.utils.errors import UserError

from . import (
    backends,
    building,
    classes,
    evaluators,
    files,
    frozen,
    keys,
    pipelines,
    runtime,
    schedules,
    training,
    weights,
)
from .context import ConfigContext, Finding

__all__ = ['Finding', 'check_config']

# What can be read off the settings first; then what can be built is.
CHECKS = (keys, classes, files, weights, frozen, training, evaluators, pipelines, schedules,
          backends, runtime, building)


def check_config(config: Config, gpus: int | None = None) -> list[Finding]:
    """Look for what would stop a run of a config, or spoil it silently.

    Nothing is trained and no GPU is needed. The data sets are built as train.py builds them and
    load a sample each, and the model gets one small black image: what they refuse is found too.
    Weights that a URL names are not fetched, and files
    that are not on this machine's file system are not looked at.

    Args:
        config (Config): A resolved config of a classifier or detector.
        gpus (int, optional): Number of processes of the run. Defaults to what the config's name
            says (4 for ``..._4xb64_in1k.py``), else 1.

    Returns:
        list[Finding]: Errors first; empty for a config with nothing to object to.
    """
    try:
        check_parts(config)
    except UserError as error:
        return [Finding('error', 'keys', '', str(error), 'a config that is whole')]
    context = ConfigContext(config, gpus)
    with DefaultScope.overwrite_default_scope(context.scope):
        found = list(dict.fromkeys(_all(context)))
    return sorted(found, key=lambda finding: finding.level != 'error')


def _all(context: ConfigContext) -> Iterator[Finding]:
    for check in CHECKS:
        found = list(check.check(context))
        context.reported += found
        yield from found
