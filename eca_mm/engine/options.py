"""Options of the command line that change a config."""
import contextlib

from mmengine import device
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS

from eca_mm.utils.errors import UserError


def check_amp(optim_wrapper: object) -> None:
    """Refuse mixed precision on a machine where mmengine has none.

    Args:
        optim_wrapper (object): The config's; wrappers of several optimizers are looked at too.

    Raises:
        UserError: If one is an ``AmpOptimWrapper``, by whatever name, and there is no GPU.
    """
    if not isinstance(optim_wrapper, dict) or has_amp():
        return
    kind = optim_wrapper.get('type')
    found = _wrapper_class(kind)
    if isinstance(found, type) and issubclass(found, AmpOptimWrapper):
        name = kind if isinstance(kind, str) else found.__name__
        raise UserError(f'optim_wrapper.type is {name}, but mixed precision needs a GPU (CUDA or '
                        'the like): use OptimWrapper to train on this machine.')
    for part in optim_wrapper.values():
        if isinstance(part, dict) and 'optimizer' in part:
            check_amp(part)


def has_amp() -> bool:
    """Whether mmengine's ``AmpOptimWrapper`` works on this machine; it does not on a CPU or MPS."""
    # Not every release of mmengine knows all of them.
    return any(getattr(device, f'is_{kind}_available', bool)()
               for kind in ('cuda', 'npu', 'mlu', 'musa'))


def _wrapper_class(kind: object) -> object:
    if not isinstance(kind, str):
        return kind
    # A type that no registry has is reported when it is built.
    with contextlib.suppress(Exception):
        return OPTIM_WRAPPERS.get(kind)
    return None


def use_amp(config: Config) -> None:
    """Switch a config to automatic mixed precision.

    Args:
        config (Config): Its ``optim_wrapper`` is changed.

    Raises:
        UserError: Without a GPU, or if the optimizer wrapper is neither of mmengine's two.
    """
    if not has_amp():
        raise UserError('--amp needs a GPU (CUDA or similar); leave it out to train on this '
                        'machine.')
    kind = config.optim_wrapper.get('type', 'OptimWrapper')
    if _wrapper_class(kind) not in (OptimWrapper, AmpOptimWrapper):
        raise UserError(f'--amp needs optim_wrapper.type to be OptimWrapper, but it is {kind}.')
    config.optim_wrapper.type = 'AmpOptimWrapper'
    config.optim_wrapper.setdefault('loss_scale', 'dynamic')


def use_scaled_lr(config: Config) -> None:
    """Have the learning rate follow the batch size.

    Args:
        config (Config): Its ``auto_scale_lr`` is enabled.

    Raises:
        UserError: If the config does not say which batch its learning rate is meant for.
    """
    if 'base_batch_size' not in (config.get('auto_scale_lr') or {}):
        raise UserError('--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the '
                        'config: the batch size that its learning rate is meant for.')
    config.auto_scale_lr.enable = True
