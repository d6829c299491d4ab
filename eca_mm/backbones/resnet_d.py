"""ResNet-D, ResNeXt-D and pruned ResNet-D with an attention in their residual blocks.

The D variant (He et al., "Bag of Tricks", CVPR 2019, https://arxiv.org/abs/1812.01187) has three
3x3 convolutions for a stem and averages before the 1x1 convolution of a shortcut with stride. The
ECA-ResNets of the timm library are of this family.
"""
from collections.abc import Iterator, Sequence
from typing import Any

from mmcv.cnn import ConvModule, build_conv_layer, build_norm_layer
from mmengine.registry import MODELS
from mmpretrain.models.backbones.resnet import ResLayer
from torch import nn
from typing_extensions import Unpack

from eca_mm.utils.signatures import show_parents_arguments

from .arguments import ECAResNetDArguments, ResNetDArguments
from .attention_block import eca_attention
from .resnet import AttentionBottleneck, AttentionResNet


@MODELS.register_module()
@show_parents_arguments()
class AttentionResNetD(AttentionResNet):
    """ResNet-D with an ``attention`` argument, optionally pruned.

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

    arch_settings = {  # noqa: RUF012  an object may have its own
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
                 **kwargs: Unpack[ResNetDArguments]) -> None:
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
        if not self.deep_stem:
            super()._make_stem_layer(in_channels, stem_channels)
            return
        widths = (in_channels, *self.stem_widths, stem_channels)
        self.stem = nn.Sequential(*(
            ConvModule(widths[i], widths[i + 1], 3, stride=1 if i else 2, padding=1,
                       conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg, inplace=True)
            for i in range(3)))
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)

    def make_res_layer(self, in_channels: int, out_channels: int,  # type: ignore[override]
                       stride: int, **kwargs: Any) -> ResLayer:
        """Build one stage, with the remaining channels if the network is pruned."""
        # Pruning may leave the first shortcut as many channels as it gets; it stays all the same.
        self._needs_shortcut = stride != 1 or in_channels != out_channels
        if self.channels is not None:
            stage = len(self.res_layers)
            in_channels = self.channels[stage - 1][-1][-1] if stage else self.stem_channels
            out_channels = self.channels[stage][-1][-1]
        return super().make_res_layer(in_channels=in_channels, out_channels=out_channels,
                                      stride=stride, **kwargs)

    def block_options(self, stage: int) -> Iterator[dict]:
        """The arguments of each block of a stage, besides those that all of them share.

        Args:
            stage (int): Index of the stage, from 0.

        Yields:
            dict: The arguments of the next block.
        """
        for index, options in enumerate(super().block_options(stage)):
            if self.groups > 1:
                # The first stage has base_channels in between, every further one twice as many.
                width = self.groups * self.width_per_group * 2**stage
                options.update(groups=self.groups, widths=(width, width))
            if self.channels is not None:
                *widths, out_channels = self.channels[stage][index]
                options['widths'] = widths
                before = self.channels[stage - 1][-1][-1] if stage else self.stem_channels
                if index == 0 and self._needs_shortcut and self.strides[stage] == 1 and (
                        before == out_channels):
                    options['downsample'] = nn.Sequential(
                        build_conv_layer(self.conv_cfg, before, out_channels, kernel_size=1,
                                         bias=False),
                        build_norm_layer(self.norm_cfg, out_channels)[1])
            yield options


def _check(stage_blocks: Sequence[int], stem_widths: Sequence[int], groups: int,
           channels: Sequence | None, num_stages: int) -> None:
    """Refuse arguments that contradict each other."""
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
@show_parents_arguments('attention')
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
                 **kwargs: Unpack[ECAResNetDArguments]) -> None:
        attention = eca_attention(kernel_size, num_stages)
        super().__init__(depth, attention, num_stages=num_stages, **kwargs)
