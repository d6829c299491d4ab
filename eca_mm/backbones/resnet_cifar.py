"""ResNets for images of 32 x 32 pixels with an attention in their residual blocks."""
from collections.abc import Sequence
from typing import Any, ClassVar

from mmengine.registry import MODELS
from mmpretrain.models.backbones import ResNet_CIFAR

from .attention_block import eca_attention
from .resnet import AttentionBasicBlock, AttentionResNet


@MODELS.register_module()
class AttentionResNetCIFAR(AttentionResNet, ResNet_CIFAR):
    """mmpretrain's ResNet for CIFAR with one more argument, ``attention``.

    The stem is one 3x3 convolution, without stride and pooling. Depths 20, 32, 44, 56 and 110 are
    the three-stage networks of Section 4.2 of the ResNet paper (https://arxiv.org/abs/1512.03385):
    basic blocks of 16, 32 and 64 channels. Their shortcuts to more channels are 1x1 convolutions,
    as everywhere in mmpretrain, where that paper pads with zeros.

    Args:
        depth (int): Network depth: one of 20, 32, 44, 56 and 110 with three stages, one of those
            of :class:`AttentionResNet` with four.
        attention (dict | Sequence | None): As in :class:`AttentionResNet`. Defaults to None.
        **kwargs: All other arguments of :class:`AttentionResNet`.

    Raises:
        ValueError: If ``attention`` or ``conv2_cfg`` does not fit the network.
    """

    # Blocks of each of the three stages: depth = 6 n + 2.
    three_stages: ClassVar[dict[int, int]] = {20: 3, 32: 5, 44: 7, 56: 9, 110: 18}
    arch_settings = AttentionResNet.arch_settings | {
        depth: (AttentionBasicBlock, (blocks, ) * 3) for depth, blocks in three_stages.items()
    }

    def __init__(self, depth: int, attention: dict | Sequence | None = None,
                 **kwargs: Any) -> None:
        if depth in self.three_stages:
            kwargs = dict(stem_channels=16, base_channels=16, num_stages=3, strides=(1, 2, 2),
                          dilations=(1, 1, 1), out_indices=(2, )) | kwargs
        super().__init__(depth, attention, **kwargs)


@MODELS.register_module()
class ECAResNetCIFAR(AttentionResNetCIFAR):
    """ECA-ResNet for CIFAR: an ECA layer in every residual block.

    Args:
        depth (int): As in :class:`AttentionResNetCIFAR`.
        kernel_size (int | str | Sequence): ``'adaptive'`` (Eq. 12), one odd int for all stages,
            or one entry per stage. Defaults to ``'adaptive'``.
        **kwargs: All other arguments of :class:`AttentionResNetCIFAR`.

    Raises:
        ValueError: If ``kernel_size`` is not odd or does not have one entry per stage.
    """

    def __init__(self, depth: int, kernel_size: int | str | Sequence = 'adaptive',
                 **kwargs: Any) -> None:
        num_stages = kwargs.get('num_stages', 3 if depth in self.three_stages else 4)
        super().__init__(depth, eca_attention(kernel_size, num_stages), **kwargs)
