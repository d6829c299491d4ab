"""What the tests of check_config share."""
import copy
from types import ModuleType

from mmengine.config import Config
from mmengine.registry import DefaultScope

from eca_mm.config_check import Finding, check_config
from eca_mm.config_check.context import ConfigContext

# What the checks look at does not depend on the width of a ResNet-18.
NARROW = dict(base_channels=16, stem_channels=16)
NECK = {18: [16, 32, 64, 128], 50: [256, 512, 1024, 2048]}


def find(config: Config, gpus: int | None = None) -> list[tuple[str, str, str]]:
    return [(f.level, f.check, f.where) for f in check_config(config, gpus)]


def changed(config: Config, changes: dict) -> Config:
    config = copy.deepcopy(config)
    config.merge_from_dict(changes)
    return config


def run(check: ModuleType, config: Config, gpus: int | None = None) -> list[Finding]:
    """What one kind of check finds; it takes a fraction of the time of all of them."""
    context = ConfigContext(config, gpus)
    with DefaultScope.overwrite_default_scope(context.scope):
        return list(dict.fromkeys(check.check(context)))
