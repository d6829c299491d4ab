"""Where mmcv folds normalisations into the convolutions before them."""
import functools
import importlib
from typing import Any

from torch import nn


def refuse_across_attention() -> None:
    """Have mmcv's ``fuse_conv_bn`` end in one sentence where an attention stands between the two.

    It takes a convolution and the next normalisation among the children of a module for
    neighbours, and would fold across a layer that the convolution calls behind itself. (mmcv 2.x,
    onedl-mmcv 2.x)
    """
    module: Any = importlib.import_module('mmcv.cnn.utils.fuse_conv_bn')
    fuse = module._fuse_conv_bn
    if hasattr(fuse, '__wrapped__'):
        return

    @functools.wraps(fuse)
    def fuse_conv_bn(conv: nn.Module, bn: nn.Module) -> nn.Module:
        layer, before = getattr(conv, '_attached', (None, True))
        if not before:
            raise ValueError(
                f'fuse_conv_bn cannot fold a {type(bn).__name__} into the {type(conv).__name__} '
                f'before it, for an attention ({type(layer).__name__}) stands between; put it '
                'behind the normalisation.')
        return fuse(conv, bn)

    module._fuse_conv_bn = fuse_conv_bn
