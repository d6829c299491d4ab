"""The end of a residual block as one differentiable function: BN, attention, addition, ReLU.

Computed one after the other, these keep two maps more for the backward pass than a block without
attention does and pass over the memory about twice as often. But with ``z`` the convolution's
output and ``s`` its channel means per sample, BN gives ``y = a (z - m) + b`` with channel means
``a (s - m) + b``, so that the attention's weights w are known before any map but z is there, and
everything is one affine map per sample and channel::

    out = ReLU(identity + A (z - s) + D),    A = w a,    D = w (a (s - m) + b)

The backward pass is written out, except for the attention's small function of (N, C) values, and
needs no map but z and out.
"""
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from eca_mm.layers.channel_attention import ChannelAttention, has_hooks, supports_fused_tail
from eca_mm.layers.checks import is_captured

from .accelerated_block_tail import accelerated_block_tail
from .accelerated_ops import ACTIVATIONS
from .bn_reductions import (
    HALF,
    batch_statistics,
    centred_sums,
    is_channels_last,
    map_means,
    widen,
    without_autocast,
)
from .cache_sized_slices import cache_sized_slices
from .forms import Form
from .running_statistics import update_running_statistics


def can_fuse_block_tail(z: Tensor, norm: nn.Module, attention: nn.Module | None,
                        identity: Tensor | None, activation: nn.Module | None) -> bool:
    """Tell whether :func:`training_block_tail` computes what the modules do one after the other.

    It does for ordinary BN (also frozen or in evaluation mode) and any channel attention, in one
    floating-point type or with maps in half precision, as autocast has them; SyncBN, modules with
    hooks, tracing and compiling take the plain path.

    Args:
        z (Tensor): Output of the last convolution, of shape (N, C, H, W).
        norm (nn.Module): The normalisation after it.
        attention (nn.Module | None): The attention after that.
        identity (Tensor | None): What is added, of shape (N, C, H, W).
        activation (nn.Module | None): What follows the addition.

    Returns:
        bool: Whether it applies.
    """
    return not is_captured() and is_fusible_tail(z, norm, attention, identity, activation)


def is_fusible_tail(z: Tensor, norm: nn.Module, attention: nn.Module | None,
                    identity: Tensor | None, activation: nn.Module | None) -> bool:
    """Tell the same, whether or not anybody traces or compiles.

    Args:
        z (Tensor): As above.
        norm (nn.Module): As above.
        attention (nn.Module | None): As above.
        identity (Tensor | None): As above.
        activation (nn.Module | None): As above.

    Returns:
        bool: Whether the end of the block may be one function.
    """
    if not supports_fused_tail(attention) or not _is_fusible_norm(z, norm, activation, (nn.ReLU,)):
        return False
    if identity is not None and (identity.shape != z.shape or identity.dtype != z.dtype):
        return False
    return all(p.dtype == norm.weight.dtype for p in attention.parameters())


def can_fuse_norm(z: Tensor, norm: nn.Module, activation: nn.Module | None,
                  activations: tuple[type[nn.Module], ...]) -> TypeGuard[nn.BatchNorm2d]:
    """Tell whether a normalisation and an activation may be one function of a map in training.

    Args:
        z (Tensor): What is normalised, of shape (N, C, H, W).
        norm (nn.Module): The normalisation.
        activation (nn.Module | None): What follows it, sooner or later.
        activations (tuple[type[nn.Module], ...]): Which classes that may be.

    Returns:
        bool: Whether they may.
    """
    return not is_captured() and _is_fusible_norm(z, norm, activation, activations)


def _is_fusible_norm(z: Tensor, norm: nn.Module, activation: nn.Module | None,
                     activations: tuple[type[nn.Module], ...]) -> bool:
    if not (z.requires_grad and torch.is_grad_enabled()):
        return False
    if type(norm) is not nn.BatchNorm2d or norm.weight is None or norm.running_mean is None:
        return False
    if activation is not None and type(activation) not in activations:
        return False
    if has_hooks(norm) or (activation is not None and has_hooks(activation)):
        return False
    # Statistics of maps in half precision are in fp32, and so have to be the parameters.
    expected = torch.float32 if z.dtype in HALF else z.dtype
    if norm.weight.dtype != expected or norm.running_mean.dtype != expected:
        return False
    # BN refuses to normalise single values, and raises its own error.
    return z.numel() // z.size(1) > 1


def training_block_tail(z: Tensor, norm: nn.BatchNorm2d, attention: ChannelAttention,
                        identity: Tensor | None, activate: bool, form: Form = 'cpu') -> Tensor:
    """Compute ``ReLU(identity + attention(norm(z)))``, saving z and the output for backward.

    Running statistics are updated as the normalisation does it. The result can be differentiated
    once.

    Args:
        z (Tensor): Output of the last convolution, of shape (N, C, H, W).
        norm (nn.BatchNorm2d): The normalisation after it, in either mode.
        attention (ChannelAttention): The attention after that.
        identity (Tensor | None): What is added, of shape (N, C, H, W); None for nothing.
        activate (bool): Whether a ReLU follows.
        form (str): As :func:`~eca_mm.ops.forms.block_form` returns it. Defaults to ``'cpu'``.

    Returns:
        Tensor: Of shape (N, C, H, W), in the memory format of ``z``.
    """
    with without_autocast(z):
        if form == 'accelerator':
            return accelerated_block_tail(z, norm, attention, identity,
                                          ACTIVATIONS[nn.ReLU if activate else None])
        return _TrainingBlockTail.apply(z, identity, norm.weight, norm.bias, norm, attention,
                                        activate, *attention.parameters())


class _TrainingBlockTail(torch.autograd.Function):

    @staticmethod
    def forward(ctx: FunctionCtx, z: Tensor, identity: Tensor | None, weight: Tensor, bias: Tensor,
                norm: nn.BatchNorm2d, attention: ChannelAttention, activate: bool,
                *params: Tensor) -> Tensor:
        if not is_channels_last(z):
            z = z.contiguous()
        if norm.training:
            s, var = batch_statistics(z)
            mean = s.mean(0)
            # Here rather than after the call, which checkpointing cuts off when it recomputes.
            update_running_statistics(norm, mean, var, z.numel() // z.size(1))
        else:
            s, mean, var = map_means(z), norm.running_mean, norm.running_var
        a = weight * (var + norm.eps).rsqrt()
        y = torch.addcmul(bias, s - mean, a)
        gate = attention.excite(y)
        scale = gate * a
        shift = gate * y - scale * s
        out = torch.empty_like(z)
        for i in cache_sized_slices(len(z), z):
            part = None if z.dtype in HALF else out[i]
            if identity is None:
                part = torch.mul(widen(z[i]), _as_map(scale[i]), out=part)
            else:
                part = torch.addcmul(widen(identity[i]), widen(z[i]), _as_map(scale[i]), out=part)
            part.add_(_as_map(shift[i]))
            if activate:
                part.relu_()
            if z.dtype in HALF:
                out[i].copy_(part)
        ctx.eps, ctx.attention, ctx.training = norm.eps, attention, norm.training
        ctx.has_identity = identity is not None
        ctx.save_for_backward(z, out if activate else None, s, mean, var, weight, bias, *params)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        with without_autocast(grad_out):
            return _backward(ctx, grad_out)


def _backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
    z, out, s, mean, var, weight, bias, *params = ctx.saved_tensors
    layout = torch.channels_last if is_channels_last(z) else torch.contiguous_format
    grad = grad_out.contiguous(memory_format=layout)
    if out is not None:
        grad = torch.ops.aten.threshold_backward(grad, out, 0)
    grad_scale, grad_offset = centred_sums(z, s, grad)

    deviation = (var + ctx.eps).rsqrt()
    a, centred = weight * deviation, s - mean
    y = torch.addcmul(bias, centred, a)
    gate, grad_y, grad_params = ctx.attention.excite_backward(
        y, torch.addcmul(grad_scale * a, grad_offset, y), params)
    scale = gate * a
    grad_y = torch.addcmul(grad_y, grad_offset, gate)
    grad_a = (grad_scale * gate + grad_y * centred).sum(0)
    grad_s = grad_y * a
    slope = None
    if ctx.training:
        # The batch's mean is that of s; its variance depends on z, and through s on z.
        grad_var = grad_a * weight * deviation**3 * -.5
        slope = (grad_var * (2 / len(z))).expand_as(s)
        grad_s = grad_s - grad_s.mean(0) + slope * centred
    grad_z = None
    if ctx.needs_input_grad[0]:
        n = z.size(2) * z.size(3)
        constant = (grad_s - scale * grad_offset) / n
        grad_z = _combine(grad, scale, z, None if slope is None else slope / n, s, constant)
    return (grad_z, grad if ctx.has_identity else None, grad_a * deviation, grad_y.sum(0),
            None, None, None, *grad_params)


def _combine(grad: Tensor, scale: Tensor, z: Tensor, slope: Tensor | None, s: Tensor,
             constant: Tensor) -> Tensor:
    """Compute scale * grad + slope * (z - s) + constant; all coefficients are (N, C)."""
    result = torch.empty_like(z)
    if slope is not None:
        constant = constant - slope * s
    for i in cache_sized_slices(len(z), z):
        part = None if z.dtype in HALF else result[i]
        if slope is None:
            part = torch.mul(widen(grad[i]), _as_map(scale[i]), out=part).add_(_as_map(constant[i]))
        elif is_channels_last(z):
            part = torch.addcmul(_as_map(constant[i]), widen(z[i]), _as_map(slope[i]), out=part)
            part.addcmul_(widen(grad[i]), _as_map(scale[i]))
        else:
            # One operation more, but the other form does not vectorise along the columns.
            part = torch.mul(widen(grad[i]), _as_map(scale[i]), out=part)
            part.addcmul_(widen(z[i]), _as_map(slope[i])).add_(_as_map(constant[i]))
        if z.dtype in HALF:
            result[i].copy_(part)
    return result


def _as_map(x: Tensor) -> Tensor:
    return x[:, :, None, None]
