"""ResNet with an attention in its residual blocks."""
from collections.abc import Sequence

from mmengine.registry import MODELS
from mmpretrain.models.backbones import resnet as base
from torch import Tensor

from .attention_block import (
    AttentionBlock,
    attention_per_block,
    eca_attention,
    init_attentions,
    per_stage,
)


class AttentionBasicBlock(AttentionBlock, base.BasicBlock):
    """Basic block (two 3x3 convolutions) with room for an attention before the addition."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""

        def residual(x):
            out = self.relu(self.norm1(self.conv1(x)))
            identity = x if self.downsample is None else self.downsample(x)
            return self.tail(self.conv2(out), self.norm2, identity, self.relu)

        return self.checkpointed(residual, x)


class AttentionBottleneck(AttentionBlock, base.Bottleneck):
    """Bottleneck (1x1, 3x3, 1x1 convolution) with room for an attention before the addition."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""

        def residual(x):
            out = self.relu(self.norm1(self.conv1(x)))
            out = self.relu(self.norm2(self.conv2(out)))
            identity = x if self.downsample is None else self.downsample(x)
            return self.tail(self.conv3(out), self.norm3, identity, self.relu)

        return self.checkpointed(residual, x)


@MODELS.register_module()
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
        fused (bool): Whether training computes the end of a block, from its last normalisation
            on, as one function where that gives the same. Defaults to True.
        **kwargs: All other arguments of :class:`mmpretrain.models.backbones.ResNet`.

    Raises:
        ValueError: If ``attention`` or ``conv2_cfg`` is a sequence that does not fit the stages
            or blocks, or ``conv2_cfg`` is given for a depth without bottlenecks.
    """

    arch_settings = {
        depth: (AttentionBasicBlock if block is base.BasicBlock else AttentionBottleneck, blocks)
        for depth, (block, blocks) in base.ResNet.arch_settings.items()
    }
    # MMPretrain has no ResNet-200, which the paper's Table 4 compares with.
    arch_settings[200] = (AttentionBottleneck, (3, 24, 36, 3))

    def __init__(self,
                 depth: int,
                 attention: dict | Sequence | None = None,
                 conv2_cfg: dict | Sequence | None = None,
                 fused: bool = True,
                 **kwargs) -> None:
        super().__init__(depth, **kwargs)
        self._replace_conv2(conv2_cfg)
        configs = attention_per_block(attention, self.stage_blocks)
        for name, stage in zip(self.res_layers, configs, strict=True):
            for block, cfg in zip(getattr(self, name), stage, strict=True):
                block.fused = fused
                if cfg is not None:
                    block.add_attention(cfg)
        # The parent froze its stages before they had an attention.
        self._freeze_stages()

    def _replace_conv2(self, conv2_cfg: dict | Sequence | None) -> None:
        configs = per_stage(conv2_cfg, self.num_stages, 'conv2_cfg')
        for name, cfg in zip(self.res_layers, configs, strict=True):
            if cfg is None:
                continue
            if self.block is not AttentionBottleneck:
                raise ValueError(f'conv2_cfg replaces the 3x3 convolution of bottlenecks, which '
                                 f'depth {self.depth} does not have; use depth 50 or more.')
            for block in getattr(self, name):
                old = block.conv2
                block.conv2 = MODELS.build(
                    dict(cfg, in_channels=old.in_channels, out_channels=old.out_channels,
                         stride=old.stride[0], dilation=old.dilation[0]))

    def init_weights(self) -> None:
        """Initialise as the parent does, then let the attentions start as they want to."""
        super().init_weights()
        init_attentions(self)

    def switch_to_deploy(self) -> None:
        """Turn into the exact inference form: normalisations folded, attention nearly free.

        Raises:
            ValueError: If the network is in training mode.
        """
        # The inference forms know the blocks, not the other way round.
        from .folding import to_inference_form
        to_inference_form(self)

    def train(self, mode: bool = True) -> 'AttentionResNet':
        """Set the mode, except for what is frozen, and return the network, as torch does."""
        super().train(mode)
        return self


@MODELS.register_module()
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
                 **kwargs) -> None:
        attention = eca_attention(kernel_size, num_stages)
        super().__init__(depth, attention, num_stages=num_stages, **kwargs)
