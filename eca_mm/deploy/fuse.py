"""The exact inference form of a whole classifier or detector."""
import copy
import warnings

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from eca_mm.backbones.attention_block import AttentionBlock
from eca_mm.backbones.inference_form import to_inference_form


def fuse(model: nn.Module) -> nn.Module:
    """Make a copy of a model that computes the same faster.

    Batch normalisations are folded into the convolutions before them, and residual blocks with an
    attention end in one pass over the map (:class:`eca_mm.layers.residual_tail.ResidualTail`).
    The copy is an ordinary module with other names in its state dict.

    Args:
        model (nn.Module): Any model in evaluation mode; it is not changed.

    Returns:
        nn.Module: The inference form. What cannot be converted (SyncBN, a normalisation that does
        not follow a convolution, a block of an unknown class) is left as it is and named in a
        ``UserWarning``.

    Raises:
        ValueError: If the model or one of its normalisations is in training mode.
    """
    return switch_to_deploy(copy.deepcopy(model))


def switch_to_deploy(model: nn.Module) -> nn.Module:
    """Do what :func:`fuse` does to the model itself.

    Args:
        model (nn.Module): Any model in evaluation mode; it is changed.

    Returns:
        nn.Module: The model, or what takes its place if it is itself a residual block.

    Raises:
        ValueError: If the model or one of its normalisations is in training mode.
    """
    model = to_inference_form(model)
    left = [name for name, module in model.named_modules()
            if isinstance(module, _BatchNorm | AttentionBlock)]
    if left:
        warnings.warn('These modules have no known inference form and are left as they are: '
                      + ', '.join(left), UserWarning, stacklevel=2)
    return model
