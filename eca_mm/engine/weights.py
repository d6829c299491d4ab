"""Weights that a run starts from, and whether they are of its network."""
from mmengine.runner import CheckpointLoader
from torch import nn

from eca_mm.checkpoints.keys import KeyReport, check_fit
from eca_mm.utils.pretrained import pretrained_configs


def check_pretrained(module: nn.Module) -> KeyReport | None:
    """Refuse ``init_cfg=dict(type='Pretrained')`` weights of another architecture.

    mmengine loads what fits and logs the rest, which leaves a part of the network random. Weights
    that are merely absent are accepted: that is how an attention is added to a trained network.

    Args:
        module (nn.Module): A model or a part of one; not those in it.

    Returns:
        KeyReport | None: The comparison with the last such weights; None without any.

    Raises:
        MisfitError: If no weight matches, or some have another shape.
    """
    report = None
    for cfg in pretrained_configs(getattr(module, 'init_cfg', None)):
        path, prefix = cfg['checkpoint'], cfg.get('prefix') or ''
        checkpoint = CheckpointLoader.load_checkpoint(path, 'cpu')
        prefix = prefix if not prefix or prefix.endswith('.') else f'{prefix}.'
        where = f' (its part {prefix!r})' if prefix else ''
        report = check_fit(
            module.state_dict(), checkpoint,
            f'Pretrained weights {path}{where} do not fit {type(module).__name__}',
            'use weights of the same architecture', require='shapes', prefix=prefix)
    return report
