"""Options of the command line that change a config."""
from mmengine.config import Config
from mmengine.device import get_device

from eca_mm.utils.errors import UserError


def use_amp(config: Config) -> None:
    """Switch a config to automatic mixed precision.

    Args:
        config (Config): Its ``optim_wrapper`` is changed.

    Raises:
        UserError: Without a GPU, or if the optimizer wrapper is neither of mmengine's two.
    """
    if get_device() == 'cpu':
        raise UserError('--amp needs a GPU; leave it out to train on the CPU.')
    kind = config.optim_wrapper.get('type', 'OptimWrapper')
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
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
