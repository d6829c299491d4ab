"""ResNet with an attention in its residual blocks."""
from collections.abc import Iterator, Sequence
from typing import Any

from mmcv.cnn import build_activation_layer, build_conv_layer, build_norm_layer
from mmcv.cnn.bricks import DropPath
from mmengine.registry import MODELS
from mmpretrain.models.backbones import resnet as base
from torch import Tensor, nn
from typing_extensions import Unpack

from eca_mm.ops.forms import Fused
from eca_mm.ops.inference_block import InferenceBlock, build_inference_block
from eca_mm.utils.signatures import show_parents_arguments

from .arguments import ECAResNetArguments, ResNetArguments
from .attention_block import (
    AttentionBlock,
    attention_per_block,
    eca_attention,
    init_attentions,
    per_stage,
)
from .folding import switch_to_deploy
from .freezing import keep_unloaded_trainable


class AttentionBasicBlock(AttentionBlock, base.BasicBlock):
    """Basic block (two 3x3 convolutions) with room for an attention before the addition.

    Args:
        *args: As in :class:`mmpretrain.models.backbones.resnet.BasicBlock`.
        attention (dict | None): Config of the attention. Defaults to None.
        fused (bool | str): Whether training computes the block's end as one function, see
            :func:`~eca_mm.ops.forms.block_form`. Defaults to ``'auto'``.
        **kwargs: As in :class:`mmpretrain.models.backbones.resnet.BasicBlock`.
    """

    def __init__(self, *args: Any, attention: dict | None = None, fused: Fused = 'auto',
                 **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fused = fused
        self.add_attention(attention)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""

        def residual(x: Tensor) -> Tensor:
            out = self.relu(self.norm1(self.conv1(x)))
            identity = x if self.downsample is None else self.downsample(x)
            return self.tail(self.conv2(out), self.norm2, identity, self.relu)

        return self.checkpointed(residual, x)

    def inference_form(self) -> InferenceBlock | None:
        """Build a block without normalisations that computes the same in evaluation mode."""
        branch = nn.Sequential(self.conv1, self.norm1, self.relu)
        return build_inference_block(branch, self.conv2, self.norm2, self.attention, self.relu,
                                     self.downsample)

    def conv_norm_pairs(self) -> list[tuple[str, str]]:
        """Name the convolutions and the normalisations that are called right after them."""
        return [('conv1', self.norm1_name), ('conv2', self.norm2_name)]


class AttentionBottleneck(AttentionBlock, base.Bottleneck):
    """Bottleneck (1x1, 3x3, 1x1 convolution) with room for an attention before the addition.

    Args:
        in_channels (int): Channels of the input.
        out_channels (int): Channels of the output.
        expansion (int): Ratio of ``out_channels`` to the channels in between. Defaults to 4.
        stride (int): Stride of the block. Defaults to 1.
        dilation (int): Dilation of the 3x3 convolution. Defaults to 1.
        downsample (nn.Module | None): What the shortcut consists of. Defaults to None.
        style (str): Where the stride is: ``'pytorch'``, in the 3x3 convolution, or ``'caffe'``,
            in the first one. Defaults to ``'pytorch'``.
        with_cp (bool): Whether to recompute in the backward pass. Defaults to False.
        conv_cfg (dict | None): Config of the convolutions. Defaults to None.
        norm_cfg (dict | None): Config of the normalisations. Defaults to BN.
        act_cfg (dict | None): Config of the activation. Defaults to ReLU.
        drop_path_rate (float): Rate of stochastic depth. Defaults to 0.
        init_cfg (dict | None): Initialisation. Defaults to None.
        widths (Sequence[int] | None): Output channels of the first two convolutions where they
            are not ``out_channels / expansion``. Defaults to None.
        groups (int): Groups of the 3x3 convolution. Defaults to 1.
        conv2_cfg (dict | None): Config of what replaces the 3x3 convolution. Defaults to None.
        attention (dict | None): Config of the attention. Defaults to None.
        fused (bool | str): Whether training computes the block's end as one function, see
            :func:`~eca_mm.ops.forms.block_form`. Defaults to ``'auto'``.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 expansion: int = 4,
                 stride: int = 1,
                 dilation: int = 1,
                 downsample: nn.Module | None = None,
                 style: str = 'pytorch',
                 with_cp: bool = False,
                 conv_cfg: dict | None = None,
                 norm_cfg: dict | None = None,
                 act_cfg: dict | None = None,
                 drop_path_rate: float = 0.,
                 init_cfg: dict | None = None,
                 widths: Sequence[int] | None = None,
                 groups: int = 1,
                 conv2_cfg: dict | None = None,
                 attention: dict | None = None,
                 fused: Fused = 'auto') -> None:
        # Not mmpretrain's constructor: it knows one width, and only a plain 3x3 convolution.
        super(base.Bottleneck, self).__init__(init_cfg)
        if style not in ('pytorch', 'caffe'):
            raise ValueError(f"style is {style!r}, but must be 'pytorch' or 'caffe'.")
        norm_cfg = dict(type='BN') if norm_cfg is None else norm_cfg
        if widths is None:
            widths = (out_channels // expansion, ) * 2
        self.in_channels, self.out_channels, self.expansion = in_channels, out_channels, expansion
        self.mid_channels = widths[1]
        self.stride, self.dilation, self.style = stride, dilation, style
        self.conv1_stride, self.conv2_stride = (1, stride) if style == 'pytorch' else (stride, 1)
        self.with_cp, self.conv_cfg, self.norm_cfg, self.fused = with_cp, conv_cfg, norm_cfg, fused

        self.norm1_name, norm1 = build_norm_layer(norm_cfg, widths[0], postfix=1)
        self.norm2_name, norm2 = build_norm_layer(norm_cfg, widths[1], postfix=2)
        self.norm3_name, norm3 = build_norm_layer(norm_cfg, out_channels, postfix=3)
        self.conv1 = build_conv_layer(conv_cfg, in_channels, widths[0], kernel_size=1,
                                      stride=self.conv1_stride, bias=False)
        self.add_module(self.norm1_name, norm1)
        if conv2_cfg is None:
            self.conv2 = build_conv_layer(
                conv_cfg, widths[0], widths[1], kernel_size=3, stride=self.conv2_stride,
                padding=dilation, dilation=dilation, groups=groups, bias=False)
        else:
            self.conv2 = MODELS.build(
                dict(conv2_cfg, in_channels=widths[0], out_channels=widths[1],
                     stride=self.conv2_stride, dilation=dilation))
        self.add_module(self.norm2_name, norm2)
        self.conv3 = build_conv_layer(conv_cfg, widths[1], out_channels, kernel_size=1, bias=False)
        self.add_module(self.norm3_name, norm3)
        self.relu = build_activation_layer(
            dict(type='ReLU', inplace=True) if act_cfg is None else act_cfg)
        self.downsample = downsample
        self.drop_path = (DropPath(drop_path_rate) if drop_path_rate > base.eps
                          else nn.Identity())
        self.add_attention(attention)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""

        def residual(x: Tensor) -> Tensor:
            out = self.relu(self.norm1(self.conv1(x)))
            out = self.relu(self.norm2(self.conv2(out)))
            identity = x if self.downsample is None else self.downsample(x)
            return self.tail(self.conv3(out), self.norm3, identity, self.relu)

        return self.checkpointed(residual, x)

    def inference_form(self) -> InferenceBlock | None:
        """Build a block without normalisations that computes the same in evaluation mode."""
        branch = nn.Sequential(self.conv1, self.norm1, self.relu,
                               self.conv2, self.norm2, self.relu)
        return build_inference_block(branch, self.conv3, self.norm3, self.attention, self.relu,
                                     self.downsample)

    def conv_norm_pairs(self) -> list[tuple[str, str]]:
        """Name the convolutions and the normalisations that are called right after them."""
        return [('conv1', self.norm1_name), ('conv2', self.norm2_name),
                ('conv3', self.norm3_name)]


@MODELS.register_module()
@show_parents_arguments()
class AttentionResNet(base.ResNet):
    """mmpretrain's ResNet with one more argument, ``attention`` (Section 3.3 of ECA-Net).

    The attention works on the residual branch, after its last normalisation and before the
    addition, where SENet has its block.

    Args:
        depth (int): Network depth, one of 18, 34, 50, 101, 152 and 200.
        attention (dict | Sequence | None): Config of the attention in all blocks, or one entry
            per stage (a config, None, or one entry per block). None is the plain ResNet.
        conv2_cfg (dict | Sequence | None): Config of what replaces the bottlenecks' 3x3
            convolution, or one entry per stage (a config or None); built with ``in_channels``,
            ``out_channels``, ``stride`` and ``dilation``. None keeps the convolution.
        fused (bool | str): Whether training computes the end of a block, from its last
            normalisation on, as one function where that gives the same: True wherever there is
            one, ``'auto'`` on CPUs and not yet on CUDA, where it has not been measured.
            Defaults to ``'auto'``.
        **kwargs: All other arguments of :class:`mmpretrain.models.backbones.ResNet`.

    Raises:
        ValueError: If ``attention`` or ``conv2_cfg`` is a sequence that does not fit the stages
            or blocks, or ``conv2_cfg`` is given for a depth without bottlenecks.
    """

    arch_settings = {  # noqa: RUF012  an object may have its own
        depth: (AttentionBasicBlock if block is base.BasicBlock else AttentionBottleneck, blocks)
        for depth, (block, blocks) in base.ResNet.arch_settings.items()
    }
    # MMPretrain has no ResNet-200, which the paper's Table 4 compares with.
    arch_settings[200] = (AttentionBottleneck, (3, 24, 36, 3))

    def __init__(self,
                 depth: int,
                 attention: dict | Sequence | None = None,
                 conv2_cfg: dict | Sequence | None = None,
                 fused: Fused = 'auto',
                 **kwargs: Unpack[ResNetArguments]) -> None:
        # The parent's constructor builds the stages.
        self.attention, self.conv2_cfg, self.fused = attention, conv2_cfg, fused
        super().__init__(depth, **kwargs)

    def make_res_layer(self, block: type[nn.Module], **kwargs: Any) -> base.ResLayer:
        """Build one stage, every block with its own attention."""
        options = self.block_options(len(self.res_layers))

        def build(**arguments: Any) -> nn.Module:
            return block(**{**arguments, **next(options)})

        stage = super().make_res_layer(block=build, **kwargs)
        stage.block = block
        return stage

    def block_options(self, stage: int) -> Iterator[dict]:
        """The arguments of each block of a stage, besides those that all of them share.

        Args:
            stage (int): Index of the stage, from 0.

        Yields:
            dict: The arguments of the next block.

        Raises:
            ValueError: If an argument of the network does not fit its stages or blocks.
        """
        attentions = attention_per_block(self.attention, self.stage_blocks)[stage]
        conv2_cfg = per_stage(self.conv2_cfg, self.num_stages, 'conv2_cfg')[stage]
        if conv2_cfg is not None and not issubclass(self.block, AttentionBottleneck):
            raise ValueError(f'conv2_cfg replaces the 3x3 convolution of bottlenecks, which '
                             f'depth {self.depth} does not have; use depth 50 or more.')
        replaced = {} if conv2_cfg is None else {'conv2_cfg': conv2_cfg}
        for attention in attentions:
            yield {'attention': attention, 'fused': self.fused, **replaced}

    def _freeze_stages(self) -> None:
        with keep_unloaded_trainable(self):
            super()._freeze_stages()

    def init_weights(self) -> None:
        """Initialise as the parent does, then apply the attentions' own initialisation."""
        super().init_weights()
        init_attentions(self)

    def switch_to_deploy(self) -> None:
        """Turn into the exact inference form, as :func:`eca_mm.deploy.switch_to_deploy` does.

        Raises:
            ValueError: If the network is in training mode.
        """
        switch_to_deploy(self)

    def train(self, mode: bool = True) -> 'AttentionResNet':
        """Set the mode, except for what is frozen, and return the network, as torch does."""
        super().train(mode)
        return self


@MODELS.register_module()
@show_parents_arguments('attention')
class ECAResNet(AttentionResNet):
    """ECA-ResNet: an ECA layer in every residual block of a ResNet.

    Args:
        depth (int): Network depth, one of 18, 34, 50, 101, 152 and 200.
        kernel_size (int | str | Sequence): ``'adaptive'`` (Eq. 12), one odd int for all stages,
            or one entry per stage, e.g. ``(3, 5, 5, 7)`` as in the published ECA-Net50.
            Defaults to ``'adaptive'``.
        **kwargs: All other arguments of :class:`mmpretrain.models.backbones.ResNet`.

    Raises:
        ValueError: If ``kernel_size`` is not odd or does not have one entry per stage.
    """

    def __init__(self,
                 depth: int,
                 kernel_size: int | str | Sequence = 'adaptive',
                 num_stages: int = 4,
                 **kwargs: Unpack[ECAResNetArguments]) -> None:
        attention = eca_attention(kernel_size, num_stages)
        super().__init__(depth, attention, num_stages=num_stages, **kwargs)
