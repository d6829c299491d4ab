"""The end of a residual block on an accelerator, in training: three passes each way.

Statistics, one small kernel, and one pass ``act(identity + gate (a (z - s) + y))``; backward one
pass for the masked gradient and both of its sums, one small kernel, and one pass for the gradient
of z. The formulas are those of :mod:`~eca_mm.ops.training_block_tail`, with ``a`` BN's weight
divided by the deviation, ``s`` the channel means per sample and ``y`` what BN makes of them.
"""
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from eca_mm.layers import ECALayer, SELayer
from eca_mm.layers.channel_attention import ChannelAttention

from . import accelerated_ops as ops
from .bn_reductions import is_channels_last, without_autocast


def gate_kind(attention: ChannelAttention | None) -> Literal['none', 'eca', 'se', 'other']:
    """Tell which kernel computes a gate.

    Args:
        attention (ChannelAttention | None): The attention; None for no gate.

    Returns:
        str: ``'other'`` where its own ``excite`` has to.
    """
    if attention is None:
        return 'none'
    if (isinstance(attention, ECALayer) and attention.is_single_convolution()
            and attention.kernel_size <= ops.MAX_TAPS):
        return 'eca'
    if (isinstance(attention, SELayer) and attention.is_two_products()
            and attention.fc1.out_features <= ops.MAX_WIDTH):
        return 'se'
    return 'other'


def gate_top(attention: ChannelAttention | None) -> float:
    """The largest value that the gate of an attention of ours can take."""
    return 2. if attention is not None and attention.identity_start else 1.


def accelerated_block_tail(z: Tensor, norm: nn.BatchNorm2d, attention: ChannelAttention | None,
                           identity: Tensor | None, act: int) -> Tensor:
    """Compute ``act(identity + attention(norm(z)))`` in Triton kernels.

    Running statistics are updated as the normalisation does it. The result can be differentiated
    once.

    Args:
        z (Tensor): Output of the last convolution, of shape (N, C, H, W), in fp32, fp16 or bf16.
        norm (nn.BatchNorm2d): The normalisation after it, in either mode, in fp32.
        attention (ChannelAttention | None): The attention after that, in fp32; None for none.
        identity (Tensor | None): What is added, of shape (N, C, H, W); None for nothing.
        act (int): A value of :data:`~eca_mm.ops.accelerated_ops.ACTIVATIONS`.

    Returns:
        Tensor: Of shape (N, C, H, W), in the type and memory format of ``z``.
    """
    params = () if attention is None else tuple(attention.parameters())
    return _AcceleratedBlockTail.apply(z, identity, norm.weight, norm.bias, norm, attention, act,
                                       *params)


class _AcceleratedBlockTail(torch.autograd.Function):

    @staticmethod
    def forward(ctx: FunctionCtx, z: Tensor, identity: Tensor | None, weight: Tensor, bias: Tensor,
                norm: nn.BatchNorm2d, attention: ChannelAttention | None, act: int,
                *params: Tensor) -> Tensor:
        z = like_format(z, z)
        s, squares = ops.map_statistics(z)
        if norm.training:
            norm.num_batches_tracked.add_(1)
        kind, top = gate_kind(attention), gate_top(attention)
        y, gate, mean, rstd = ops.block_coefficients(
            s, squares, weight, bias, norm.running_mean, norm.running_var,
            norm.num_batches_tracked, params[0] if kind == 'eca' else None,
            z.size(2) * z.size(3), norm.momentum or 0., norm.eps, top, norm.training,
            norm.momentum is None)
        hidden = None
        if kind == 'none':
            gate = None
        elif kind == 'se':
            hidden, gate = ops.se_gate(y, *params, top)
        elif attention is not None and kind == 'other':
            gate = attention.excite(y).contiguous()
        identity = None if identity is None else like_format(identity, z)
        out = ops.scale_and_add(z, identity, s, y, gate, weight, rstd, act)
        ctx.attention, ctx.kind, ctx.top, ctx.act = attention, kind, top, act
        ctx.training, ctx.has_identity = norm.training, identity is not None
        keeps_out = act and identity is not None
        ctx.save_for_backward(z, out if keeps_out else None, s, y, gate, hidden, mean, rstd, weight,
                              *params)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        z, out, s, y, gate, hidden, mean, rstd, weight, *params = ctx.saved_tensors
        grad = like_format(grad, z)
        masked, products, sums, of_gate = ops.gradient_sums(grad, z, out, s, y, gate, weight, rstd,
                                                            ctx.act)
        with without_autocast(z):
            given, of_params = _through_gate(ctx, y, gate, hidden, of_gate, params)
        slope, constant, of_weight, of_bias, of_taps = ops.block_coefficients_backward(
            products, sums, of_gate, s, y, gate, given, mean, rstd, weight,
            params[0] if ctx.kind == 'eca' else None, z.size(2) * z.size(3), ctx.top, ctx.training)
        if ctx.kind == 'eca':
            of_params = [of_taps.sum(0).view_as(params[0])]
        act = ctx.act
        if out is not None:
            grad, act = masked, 0
        of_z = None
        if ctx.needs_input_grad[0]:
            of_z = ops.input_gradient(grad, z, s, y, gate, weight, rstd, slope, constant, act)
        return (of_z, grad if ctx.has_identity else None, of_weight, of_bias, None, None, None,
                *of_params)


def _through_gate(ctx: Any, y: Tensor, gate: Tensor, hidden: Tensor | None, of_gate: Tensor,
                  params: Sequence[Tensor]) -> tuple[Tensor | None, list[Tensor | None]]:
    """Gradients with respect to y and the attention's parameters, where no kernel has them."""
    if ctx.kind == 'se':
        of_logits, of_hidden, of_y = ops.se_gate_backward(of_gate, gate, hidden, *params, ctx.top)
        return of_y, [of_hidden.T @ y, of_logits.T @ hidden]
    if ctx.kind == 'other':
        of_y, of_params = ctx.attention.excite_backward(y, gate, of_gate, params)
        return of_y.contiguous(), of_params
    return None, []


def like_format(x: Tensor, z: Tensor) -> Tensor:
    """Bring a map into the memory format of another one.

    Args:
        x (Tensor): Map of shape (N, C, H, W).
        z (Tensor): Map of the same shape; one in neither format counts as contiguous.

    Returns:
        Tensor: ``x``, copied if need be.
    """
    layout = torch.channels_last if is_channels_last(z) else torch.contiguous_format
    return x.contiguous(memory_format=layout)
