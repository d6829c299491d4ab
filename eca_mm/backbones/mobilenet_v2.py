"""MobileNetV2 with an attention in its inverted residual blocks."""
from collections.abc import Sequence
from typing import Any

from mmengine.registry import MODELS
from mmpretrain.models.backbones import mobilenet_v2 as base
from torch import Tensor, nn
from typing_extensions import Unpack

from eca_mm.ops.forms import Fused
from eca_mm.ops.inference_block import InferenceBlock, build_inference_block
from eca_mm.utils.signatures import show_parents_arguments

from .arguments import ECAMobileNetV2Arguments, MobileNetV2Arguments
from .attention_block import AttentionBlock, attention_per_block, eca_attention, init_attentions
from .folding import switch_to_deploy
from .freezing import keep_unloaded_trainable


class AttentionInvertedResidual(AttentionBlock, base.InvertedResidual):
    """Inverted residual block with room for an attention after the projection's BN.

    Args:
        in_channels (int): Channels of the input.
        out_channels (int): Channels of the output.
        *args: As in :class:`mmpretrain.models.backbones.mobilenet_v2.InvertedResidual`.
        attention (dict | None): Config of the attention. Defaults to None.
        fused (bool | str): Whether training computes the block's end as one function, see
            :func:`~eca_mm.ops.forms.block_form`. Defaults to ``'auto'``.
        **kwargs: As in :class:`mmpretrain.models.backbones.mobilenet_v2.InvertedResidual`.
    """

    def __init__(self, in_channels: int, out_channels: int, *args: Any,
                 attention: dict | None = None, fused: Fused = 'auto', **kwargs: Any) -> None:
        super().__init__(in_channels, out_channels, *args, **kwargs)
        self.out_channels = out_channels
        self.drop_path = nn.Identity()
        self.fused = fused
        self.add_attention(attention)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""

        def residual(x: Tensor) -> Tensor:
            *layers, projection = self.conv
            out = x
            for layer in layers:
                out = self.conv_norm_activation(layer, out)
            z = projection(out, norm=False)
            norm = projection.norm or nn.Identity()
            return self.tail(z, norm, x if self.use_res_connect else None)

        return self.checkpointed(residual, x)

    def inference_form(self) -> InferenceBlock | None:
        """Build a block without normalisations that computes the same in evaluation mode."""
        *layers, last = self.conv
        if not last.with_norm:
            return None
        return build_inference_block(nn.Sequential(*layers), last.conv, last.norm, self.attention,
                                     shortcut=self.use_res_connect)


@MODELS.register_module()
@show_parents_arguments()
class AttentionMobileNetV2(base.MobileNetV2):
    """mmpretrain's MobileNetV2 with one more argument, ``attention``.

    The attention stands after the projection's BN of every block, also of those without a
    shortcut.

    Args:
        attention (dict | Sequence | None): Config of the attention in all blocks, or one entry
            for each of the seven stages (a config, None, or one entry per block). None is the
            plain MobileNetV2.
        fused (bool | str): Whether training computes the end of a block, from its last
            normalisation on, as one function where that gives the same: True wherever there is
            one, ``'auto'`` on CPUs and not yet on CUDA, where it has not been measured.
            Defaults to ``'auto'``.
        **kwargs: All arguments of :class:`mmpretrain.models.backbones.MobileNetV2`.

    Raises:
        ValueError: If ``attention`` is a sequence that does not fit the stages or blocks.
    """

    def __init__(self,
                 attention: dict | Sequence | None = None,
                 fused: Fused = 'auto',
                 **kwargs: Unpack[MobileNetV2Arguments]) -> None:
        # The parent's constructor builds the stages.
        self.fused = fused
        self._attentions = attention_per_block(
            attention, [num_blocks for _, _, num_blocks, _ in self.arch_settings])
        super().__init__(**kwargs)
        # The parent freezes in train() only, too late for DDP and the optimizer.
        self._freeze_stages()

    def init_weights(self) -> None:
        """Initialise as the parent does, then apply the attentions' own initialisation."""
        super().init_weights()
        init_attentions(self)

    def make_layer(self, out_channels: int, num_blocks: int, stride: int,
                   expand_ratio: int) -> nn.Sequential:
        """Build one stage, of which only the first block has a stride."""
        blocks = []
        for i, attention in enumerate(self._attentions[len(self.layers)]):
            blocks.append(
                AttentionInvertedResidual(
                    self.in_channels,
                    out_channels,
                    stride if i == 0 else 1,
                    expand_ratio,
                    conv_cfg=self.conv_cfg,
                    norm_cfg=self.norm_cfg,
                    act_cfg=self.act_cfg,
                    with_cp=self.with_cp,
                    attention=attention,
                    fused=self.fused))
            self.in_channels = out_channels
        return nn.Sequential(*blocks)

    def switch_to_deploy(self) -> None:
        """Turn into the exact inference form, as :func:`eca_mm.deploy.switch_to_deploy` does.

        Raises:
            ValueError: If the network is in training mode.
        """
        switch_to_deploy(self)

    def train(self, mode: bool = True) -> 'AttentionMobileNetV2':
        """Set the mode, except for what is frozen, and return the network, as torch does."""
        super().train(mode)
        return self

    def _freeze_stages(self) -> None:
        with keep_unloaded_trainable(self):
            super()._freeze_stages()
        if self.frozen_stages >= 0:
            # The parent stops the stem's gradients but lets its BN statistics drift.
            self.conv1.eval()


@MODELS.register_module()
@show_parents_arguments('attention')
class ECAMobileNetV2(AttentionMobileNetV2):
    """ECA-MobileNetV2: an ECA layer in every inverted residual block.

    Args:
        kernel_size (int | str | Sequence): ``'adaptive'`` (Eq. 12), one odd int for all stages,
            or one entry for each of the seven stages, e.g. ``(1, 1, 1, 1, 3, 3, 3)`` as in the
            published model. Defaults to ``'adaptive'``.
        **kwargs: All arguments of :class:`mmpretrain.models.backbones.MobileNetV2`.

    Raises:
        ValueError: If ``kernel_size`` is not odd or does not have one entry per stage.
    """

    def __init__(self, kernel_size: int | str | Sequence = 'adaptive',
                 **kwargs: Unpack[ECAMobileNetV2Arguments]) -> None:
        super().__init__(eca_attention(kernel_size, len(self.arch_settings)), **kwargs)
