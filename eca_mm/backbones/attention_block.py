"""What a residual block needs to carry an attention, in any network."""
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from numbers import Integral
from typing import Any

import torch
from mmcv.cnn.bricks import ConvModule, build_plugin_layer
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from eca_mm.compat.registries import ours_first
from eca_mm.layers import ECALayer
from eca_mm.layers.channel_attention import has_hooks, supports_fused_tail
from eca_mm.layers.checks import is_captured, is_compiling, is_traced
from eca_mm.ops.accelerated_block_tail import accelerated_block_tail
from eca_mm.ops.accelerated_ops import ACTIVATIONS
from eca_mm.ops.compiled_block_tail import compiled_block_tail, suits_compilers
from eca_mm.ops.forms import Fused, block_form
from eca_mm.ops.inference_block import InferenceBlock
from eca_mm.ops.running_statistics import keep_running_statistics
from eca_mm.ops.training_block_tail import (
    can_fuse_block_tail,
    can_fuse_norm,
    training_block_tail,
)
from eca_mm.utils.pretrained import pretrained_configs

# What a block computes is decided in these; its inference form is that of all of them.
_COMPUTES = ('forward', 'tail', 'merge', 'recalibrate', 'checkpointed', 'conv_norm_activation')


class AttentionBlock(nn.Module):
    """Mixin for residual blocks: an attention between the last normalisation and the addition.

    It stands before the block's own class among the bases; the block states ``out_channels``,
    ``with_cp`` and ``drop_path`` (stochastic depth, ``nn.Identity`` for none).

    A block that defines ``forward`` may define :meth:`inference_form` and :meth:`conv_norm_pairs`
    beside it. A subclass that overrides what the block computes and not these two has none.
    """

    attention_name: str | None = None
    fused: Fused = 'auto'

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Drop inherited inference forms that an overridden method has made wrong."""
        super().__init_subclass__(**kwargs)
        defined = {name: next(i for i, base in enumerate(cls.__mro__) if name in vars(base))
                   for name in (*_COMPUTES, 'inference_form', 'conv_norm_pairs')}
        for name in ('inference_form', 'conv_norm_pairs'):
            if any(defined[method] < defined[name] for method in _COMPUTES):
                setattr(cls, name, vars(AttentionBlock)[name])

    def inference_form(self) -> InferenceBlock | None:
        """Build a block without normalisations that computes the same in evaluation mode.

        Returns:
            InferenceBlock | None: It shares the attention with this block; None if there is no
            such form, or if the last normalisation cannot be folded.
        """
        return None

    def conv_norm_pairs(self) -> list[tuple[str, str]]:
        """Name the convolutions and the normalisations that are called right after them.

        Returns:
            list[tuple[str, str]]: Pairs of attribute names.
        """
        return []

    @property
    def attention(self) -> nn.Module | None:
        """The attention of this block, if there is one."""
        return None if self.attention_name is None else getattr(self, self.attention_name)

    def add_attention(self, cfg: dict | None) -> None:
        """Build the attention and register it under its abbreviation (``eca``, ``se`` ...).

        mmcv's plugin builder chooses the name, hence the checkpoint keys are those of the same
        layer as an mmdet plugin.

        Args:
            cfg (dict | None): Config of a layer that is built with ``in_channels``; None for no
                attention.
        """
        if cfg is None:
            return
        cfg = {**cfg, 'type': ours_first(MODELS, cfg['type'])}
        self.attention_name, layer = build_plugin_layer(cfg, in_channels=self.out_channels)
        self.add_module(self.attention_name, layer)

    def recalibrate(self, out: Tensor) -> Tensor:
        """Apply the attention, if there is one, to a map of shape (N, C, H, W)."""
        return out if self.attention is None else self.attention(out)

    def tail(self,
             z: Tensor,
             norm: nn.Module,
             identity: Tensor | None,
             activation: nn.Module | None = None) -> Tensor:
        """Normalise, recalibrate, add the identity branch, activate.

        In training this is one function where that applies and :attr:`fused` allows it (see
        :func:`eca_mm.ops.forms.block_form`), also in a form for compilers, and the modules one
        after the other otherwise.

        Args:
            z (Tensor): Output of the block's last convolution, of shape (N, C, H, W).
            norm (nn.Module): The normalisation after it.
            identity (Tensor | None): Identity branch of shape (N, C, H, W), None for no shortcut.
            activation (nn.Module | None): What follows the addition. Defaults to None.

        Returns:
            Tensor: The block's output of shape (N, C, H, W).
        """
        attention: Any = self.attention
        # Traced sizes are not to be compared.
        if (self.training and isinstance(self.drop_path, nn.Identity)
                and (is_compiling() or not is_traced())
                and can_fuse_block_tail(z, norm, attention, identity, activation)):
            form = block_form(z, self.fused)
            if form is not None and not is_compiling():
                return training_block_tail(z, norm, attention, identity, activation is not None,
                                           form)
            # Not where a checkpoint would compute it, and count the batch, again.
            if form is not None and not self.with_cp and suits_compilers(z, norm):
                return compiled_block_tail(z, norm, attention, identity, activation)
        out = norm(z)
        out = self.recalibrate(out) if identity is None else self.merge(identity, out)
        return out if activation is None else activation(out)

    def conv_norm_activation(self, layer: nn.Module, x: Tensor) -> Tensor:
        """Call one of mmcv's ConvModules, on an accelerator with its end as one function.

        Args:
            layer (nn.Module): The layer; any other module is just called.
            x (Tensor): Its input of shape (N, C_in, H, W).

        Returns:
            Tensor: Its output of shape (N, C_out, H', W').
        """
        if not (self.training and not is_captured() and type(layer) is ConvModule
                and layer.order == ('conv', 'norm', 'act') and layer.with_norm
                and layer.with_activation and not has_hooks(layer)
                and block_form(x, self.fused) == 'accelerator'):
            return layer(x)
        z = layer(x, activate=False, norm=False)
        if not can_fuse_norm(z, layer.norm, layer.activate, (nn.ReLU, nn.ReLU6)):
            return layer.activate(layer.norm(z))
        return accelerated_block_tail(z, layer.norm, None, None, ACTIVATIONS[type(layer.activate)])

    def merge(self, identity: Tensor, out: Tensor) -> Tensor:
        """Add the recalibrated residual branch to the identity branch.

        Args:
            identity (Tensor): Identity branch of shape (N, C, H, W).
            out (Tensor): Residual branch of shape (N, C, H, W), after its last normalisation.

        Returns:
            Tensor: The sum, of shape (N, C, H, W).
        """
        attention = self.attention
        if (isinstance(self.drop_path, nn.Identity) and not is_captured()
                and supports_fused_tail(attention)):
            # One pass over the map instead of two: rescaling rides on the addition.
            return torch.addcmul(identity, out, attention.gate(out))
        return self.drop_path(self.recalibrate(out)) + identity

    def checkpointed(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Call ``function(x)``, recomputing it in the backward pass if ``with_cp`` is set."""
        if not (self.with_cp and torch.is_grad_enabled()):
            return function(x)
        if is_captured():
            return checkpoint(function, x, use_reentrant=False)
        return checkpoint(function, x, use_reentrant=False,
                          context_fn=lambda: (nullcontext(), keep_running_statistics(self)))


def attention_per_block(attention: dict | Sequence | None,
                        num_blocks: Sequence[int]) -> list[list[dict | None]]:
    """Expand an ``attention`` argument to one config per block.

    Args:
        attention (dict | Sequence | None): One config for all stages, or one entry per stage: a
            config, None, or again a sequence with one entry (config or None) per block.
        num_blocks (Sequence[int]): Number of blocks of every stage.

    Returns:
        list[list[dict | None]]: For every stage the config of each of its blocks.

    Raises:
        ValueError: If a sequence's length is not that of the stages or blocks it stands for.
        TypeError: If an entry is neither a config, a sequence nor None.
    """
    stages = per_stage(attention, len(num_blocks), 'attention')
    return [
        _spread(stage, blocks, f'attention[{i}]', f'blocks of stage {i + 1}')
        for i, (stage, blocks) in enumerate(zip(stages, num_blocks, strict=True))
    ]


def per_stage(entry: dict | Sequence | None, num_stages: int, name: str) -> list:
    """Expand an argument to one entry per stage.

    Args:
        entry (dict | Sequence | None): One config (or None) for all stages, or one entry each.
        num_stages (int): Number of stages.
        name (str): The argument's name, for the error.

    Returns:
        list: The entry of every stage.

    Raises:
        ValueError: If a sequence does not have one entry per stage.
        TypeError: If it is neither a config, a sequence nor None.
    """
    return _spread(entry, num_stages, name, 'stages')


def _spread(entry: dict | Sequence | None, length: int, name: str, what: str) -> list:
    """One entry per stage or block; a config or None stands for all of them."""
    if entry is None or isinstance(entry, dict):
        return [entry] * length
    if isinstance(entry, str) or not isinstance(entry, Sequence):
        raise TypeError(f'{name} is {entry!r}, but must be a config dict, None, or a list with one '
                        f'entry for each of the {length} {what}.')
    if len(entry) != length:
        raise ValueError(f'{name} has {len(entry)} entries, but there are {length} {what}; give '
                         'one entry for each (None for no attention) or a single dict for all.')
    return list(entry)


def init_attentions(model: BaseModule) -> None:
    """Let attentions with ``init_weights`` override a backbone's initialisation of all layers.

    Blocks that add something to the map (GC, non-local, A2) want to start as the identity, but
    the backbone's ``init_cfg`` reaches their convolutions and norms too. Pretrained weights stay.

    Args:
        model (BaseModule): A backbone of :class:`AttentionBlock`.
    """
    if pretrained_configs(model.init_cfg):
        return
    for block in model.modules():
        if isinstance(block, AttentionBlock) and block.attention_name is not None:
            attention = getattr(block, block.attention_name)
            if hasattr(attention, 'init_weights'):
                attention.init_weights()


def eca_attention(kernel_size: int | str | Sequence, num_stages: int) -> list[dict]:
    """The ``attention`` argument that puts an ECA layer into every block.

    Args:
        kernel_size (int | str | Sequence): ``'adaptive'``, one odd int, or one of them per stage.
        num_stages (int): Number of stages of the network.

    Returns:
        list[dict]: One config per stage.

    Raises:
        ValueError: If a sequence does not have one entry per stage.
    """
    if isinstance(kernel_size, str | Integral) or not isinstance(kernel_size, Sequence):
        kernel_size = [kernel_size] * num_stages
    if len(kernel_size) != num_stages:
        raise ValueError(f'kernel_size is {tuple(kernel_size)}, but must have one entry for each '
                         f"of the {num_stages} stages, or be one odd integer or 'adaptive'.")
    return [dict(type=ECALayer, kernel_size=k) for k in kernel_size]
