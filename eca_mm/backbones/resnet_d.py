"""ResNet-D, ResNeXt-D and pruned ResNet-D with an attention in their residual blocks.

The D variant (He et al., "Bag of Tricks", CVPR 2019, https://arxiv.org/abs/1812.01187) has three
3x3 convolutions for a stem and averages before the 1x1 convolution of a shortcut with stride. The
ECA-ResNets of the timm library are of this family.
"""
from collections.abc import Sequence

from mmcv.cnn import ConvModule, build_conv_layer, build_norm_layer
from mmengine.registry import MODELS
from mmpretrain.models.backbones import resnext
from mmpretrain.models.backbones.resnet import ResLayer
from torch import nn

from .attention_block import eca_attention
from .resnet import AttentionBottleneck, AttentionResNet


class AttentionResNeXtBottleneck(AttentionBottleneck, resnext.Bottleneck):
    """ResNeXt's bottleneck (grouped 3x3 convolution) with room for an attention."""


@MODELS.register_module()
class AttentionResNetD(AttentionResNet):
    """ResNet-D with an ``attention`` argument, and with channels that pruning has left.

    Args:
        depth (int): Network depth, one of 26, 50, 101, 152, 200 and 269.
        attention (dict | Sequence | None): As in :class:`AttentionResNet`.
        stage_blocks (Sequence[int] | None): Number of blocks of each stage where it is not the
            usual one of the depth, e.g. ``(1, 1, 11, 3)`` for ECA-ResNet-light. Defaults to None.
        stem_widths (Sequence[int]): Channels of the deep stem's first two convolutions; the third
            has ``stem_channels``. ``(24, 32)`` is the tiered stem. Defaults to ``(32, 32)``.
        groups (int): Groups of the 3x3 convolutions; more than one makes a ResNeXt. Defaults to 1.
        width_per_group (int): Channels of a group in the first stage. Defaults to 4.
        channels (Sequence | None): For a pruned network, one entry per stage and in it one triple
            per block: the output channels of its three convolutions. Defaults to None.
        deep_stem (bool): Whether the stem has three 3x3 convolutions. Defaults to True.
        avg_down (bool): Whether shortcuts with stride average. Defaults to True.
        **kwargs: All other arguments of :class:`AttentionResNet`.

    Raises:
        ValueError: If ``stage_blocks``, ``stem_widths`` or ``channels`` does not fit the network,
            or pruning is asked for together with groups.
    """

    arch_settings = {
        depth: setting for depth, setting in AttentionResNet.arch_settings.items() if depth >= 50
    }
    arch_settings[26] = (AttentionBottleneck, (2, 2, 2, 2))
    arch_settings[269] = (AttentionBottleneck, (3, 30, 48, 8))

    def __init__(self,
                 depth: int,
                 attention: dict | Sequence | None = None,
                 stage_blocks: Sequence[int] | None = None,
                 stem_widths: Sequence[int] = (32, 32),
                 groups: int = 1,
                 width_per_group: int = 4,
                 channels: Sequence | None = None,
                 deep_stem: bool = True,
                 avg_down: bool = True,
                 **kwargs) -> None:
        if stage_blocks is not None:
            self.arch_settings = {depth: (AttentionBottleneck, tuple(stage_blocks))}
        if depth in self.arch_settings:
            _check(self.arch_settings[depth][1], stem_widths, groups, channels,
                   kwargs.get('num_stages', 4))
        # The parent builds stem and stages in its constructor, which needs these.
        self.stem_widths = tuple(stem_widths)
        self.groups, self.width_per_group = groups, width_per_group
        self.channels = channels
        super().__init__(depth, attention, deep_stem=deep_stem, avg_down=avg_down, **kwargs)

    def _make_stem_layer(self, in_channels: int, stem_channels: int) -> None:
        super()._make_stem_layer(in_channels, stem_channels)
        if self.deep_stem:
            widths = (in_channels, *self.stem_widths, stem_channels)
            self.stem = nn.Sequential(*(
                ConvModule(widths[i], widths[i + 1], 3, stride=1 if i else 2, padding=1,
                           conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg, inplace=True)
                for i in range(3)))

    def make_res_layer(self, **kwargs) -> ResLayer:
        """Build one stage, grouped or pruned if so asked."""
        if self.groups > 1:
            kwargs.update(block=AttentionResNeXtBottleneck, groups=self.groups,
                          width_per_group=self.width_per_group, base_channels=self.base_channels)
        stage = super().make_res_layer(**kwargs)
        if self.channels is not None:
            index = len(self.res_layers)
            before = self.channels[index - 1][-1][-1] if index else self.stem_channels
            for block, widths in zip(stage, self.channels[index], strict=True):
                self._resize(block, before, *widths)
                before = widths[-1]
        return stage

    def _resize(self, block: AttentionBottleneck, before: int, *widths: int) -> None:
        """Build a block's layers again with other channel numbers."""
        ins = (before, *widths[:2])
        for i, (in_channels, out_channels) in enumerate(zip(ins, widths, strict=True), 1):
            conv = self._conv_like(getattr(block, f'conv{i}'), in_channels, out_channels)
            setattr(block, f'conv{i}', conv)
            setattr(block, getattr(block, f'norm{i}_name'),
                    build_norm_layer(self.norm_cfg, out_channels)[1])
        if block.downsample is not None:
            block.downsample[-2] = self._conv_like(block.downsample[-2], before, widths[-1])
            block.downsample[-1] = build_norm_layer(self.norm_cfg, widths[-1])[1]
        block.in_channels, block.mid_channels, block.out_channels = before, widths[1], widths[2]

    def _conv_like(self, conv: nn.Conv2d, in_channels: int, out_channels: int) -> nn.Module:
        return build_conv_layer(
            self.conv_cfg, in_channels, out_channels, conv.kernel_size, stride=conv.stride,
            padding=conv.padding, dilation=conv.dilation, bias=False)


def _check(stage_blocks: Sequence[int], stem_widths: Sequence[int], groups: int,
           channels: Sequence | None, num_stages: int) -> None:
    """Refuse arguments that do not fit each other."""
    if len(stage_blocks) < num_stages:
        raise ValueError(f'stage_blocks is {tuple(stage_blocks)}, but must have one entry for '
                         f'each of the {num_stages} stages.')
    if len(stem_widths) != 2:
        raise ValueError(f'stem_widths is {tuple(stem_widths)}, but must be the channels of the '
                         "stem's first two convolutions, e.g. (32, 32).")
    if channels is None:
        return
    if groups > 1:
        raise ValueError(f'channels are given together with groups={groups}, but only networks '
                         'without groups can be pruned; leave one of the two out.')
    counts = tuple(len(stage) for stage in channels)
    if counts != tuple(stage_blocks[:num_stages]):
        raise ValueError(f'channels are those of {counts} blocks, but the stages have '
                         f'{tuple(stage_blocks[:num_stages])}; give one triple per block.')
    for i, stage in enumerate(channels, 1):
        if any(len(block) != 3 for block in stage) or len({block[-1] for block in stage}) != 1:
            raise ValueError(f'channels of stage {i} are {stage}, but must be triples of which all '
                             'end in the same number, that of the shortcut.')


@MODELS.register_module()
class ECAResNetD(AttentionResNetD):
    """ECA-ResNet-D: an ECA layer in every residual block of a ResNet-D or ResNeXt-D.

    Args:
        depth (int): Network depth, one of 26, 50, 101, 152, 200 and 269.
        kernel_size (int | str | Sequence): ``'adaptive'`` (Eq. 12), one odd int for all stages,
            or one entry per stage. Defaults to ``'adaptive'``. (A pruned network keeps the kernel
            sizes of the network before pruning, so they have to be written.)
        **kwargs: All other arguments of :class:`AttentionResNetD`.

    Raises:
        ValueError: If ``kernel_size`` is not odd or does not have one entry per stage.
    """

    def __init__(self,
                 depth: int,
                 kernel_size: int | str | Sequence = 'adaptive',
                 num_stages: int = 4,
                 **kwargs) -> None:
        attention = eca_attention(kernel_size, num_stages)
        super().__init__(depth, attention, num_stages=num_stages, **kwargs)
