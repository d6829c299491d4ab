"""The exact inference form of a whole classifier or detector."""
import copy

from torch import nn

from eca_mm.backbones.folding import switch_to_deploy
from eca_mm.ops.forms import Fused

__all__ = ['fuse', 'switch_to_deploy']


def fuse(model: nn.Module, fused: Fused = 'auto') -> nn.Module:
    """Make a copy of a model that computes the same faster.

    The copy is an ordinary module with other names in its state dict, see
    :func:`~eca_mm.backbones.folding.switch_to_deploy`, which does this to the model itself.

    Args:
        model (nn.Module): Any model in evaluation mode; it is not changed.
        fused (bool | str): As for :func:`~eca_mm.backbones.folding.switch_to_deploy`. Defaults to
            ``'auto'``.

    Returns:
        nn.Module: The inference form. What cannot be converted is left as it is and named in a
        ``UserWarning``.

    Raises:
        ValueError: If the model or one of its normalisations is in training mode.
    """
    return switch_to_deploy(copy.deepcopy(model), fused)
