"""The exact inference form of a whole classifier or detector."""
import copy
import warnings

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from eca_mm.backbones.attention_block import AttentionBlock
from eca_mm.backbones.folding import to_inference_form


def fuse(model: nn.Module) -> nn.Module:
    """Make a copy of a model that computes the same faster.

    Batch normalisations are folded into the convolutions before them, and residual blocks with an
    attention end in one pass over the map
    (:class:`~eca_mm.ops.inference_block_tail.InferenceBlockTail`). On a CPU the maps are in
    channels_last from the first convolution on, whatever the input is in. The copy is an ordinary
    module with other names in its state dict.

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
    _to_channels_last(model)
    return model


def _to_channels_last(model: nn.Module) -> None:
    """Have convolutions on the CPU compute in channels_last.

    oneDNN reads and writes that format as it is and copies every map in the other one. The output
    of a convolution takes the format of its weight.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.weight.device.type == 'cpu':
            module.weight.data = module.weight.data.to(memory_format=torch.channels_last)
