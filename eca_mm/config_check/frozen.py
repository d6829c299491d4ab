"""Parameters that are frozen and that no checkpoint fills: they would stay random forever."""
from collections.abc import Iterator

from torch import nn

from eca_mm.compat import load_checkpoint_file
from eca_mm.utils.errors import UserError
from eca_mm.utils.pretrained import pretrained_configs, weights_as_loaded

from .context import ConfigContext, Finding


def check(context: ConfigContext) -> Iterator[Finding]:
    """Compare what is frozen with all the weights that the run starts from.

    A config without any weights is left to the check of ``frozen_stages``. Weights on the
    web are not fetched; they count as complete.

    Args:
        context (ConfigContext): The config.

    Yields:
        Finding: One error that names every frozen parameter without weights.
    """
    try:
        model = context.model
        sources = list(_sources(model, context.config.get('load_from')))
    except Exception:
        # What cannot be built or read is reported by the other checks.
        return
    model.train()
    frozen = [(name, parameter) for name, parameter in model.named_parameters()
              if not parameter.requires_grad and _in_frozen_stages(model, name)]
    bare = [name for name, parameter in frozen
            if not any(_fills(source, name, parameter) for source in sources)]
    if sources and bare:
        yield Finding(
            'error', 'frozen', 'model', f'{len(bare)} frozen parameters are in none of the weights '
            f'that the run starts from and would stay random: {", ".join(bare)}',
            'weights that contain them, or fewer frozen_stages')


def _sources(model: nn.Module, load_from: str | None) -> Iterator[tuple[str, dict | None]]:
    """Where weights go, and which; None where they are not on this machine."""
    if load_from is not None:
        yield '', _read(load_from)
    for name, module in model.named_modules():
        for cfg in pretrained_configs(getattr(module, 'init_cfg', None)):
            yield f'{name}.' if name else '', _read(cfg['checkpoint'], cfg.get('prefix'))


def _read(path: str, prefix: str | None = None) -> dict | None:
    if '://' in path:
        return None
    try:
        return weights_as_loaded(load_checkpoint_file(path), prefix)
    except UserError:
        return None


def _fills(source: tuple[str, dict | None], name: str, parameter: nn.Parameter) -> bool:
    prefix, weights = source
    if not name.startswith(prefix):
        return False
    if weights is None:
        return True
    return getattr(weights.get(name[len(prefix):]), 'shape', None) == parameter.shape


def _in_frozen_stages(model: nn.Module, name: str) -> bool:
    """Some models have constants, such as position embeddings, that no checkpoint provides."""
    parents = name.split('.')[:-1]
    return any(isinstance(getattr(model.get_submodule('.'.join(parents[:i])), 'frozen_stages', -1),
                          int)
               and getattr(model.get_submodule('.'.join(parents[:i])), 'frozen_stages', -1) >= 0
               for i in range(len(parents) + 1))
