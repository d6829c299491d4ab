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
from .cache_sized_slices import cache_sized_parts
from .forms import Form
from .running_statistics import update_running_statistics


def can_fuse_block_tail(z: Tensor, norm: nn.Module, attention: nn.Module | None,
                        identity: Tensor | None, activation: nn.Module | None) -> bool:
    """Tell whether :func:`training_block_tail` computes what the modules do one after the other.

    It does for ordinary BN (also frozen or in evaluation mode) and any channel attention, in one
    floating-point type or with maps in half precision, as autocast has them; SyncBN and modules
    with hooks take the plain path. Compilers see another form, see
    :mod:`eca_mm.ops.compiled_block_tail`.

    Args:
        z (Tensor): Output of the last convolution, of shape (N, C, H, W).
        norm (nn.Module): The normalisation after it.
        attention (nn.Module | None): The attention after that.
        identity (Tensor | None): What is added, of shape (N, C, H, W).
        activation (nn.Module | None): What follows the addition.

    Returns:
        bool: Whether it applies.
    """
    if not supports_fused_tail(attention) or not can_fuse_norm(z, norm, activation, (nn.ReLU,)):
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
        deviation = (var + norm.eps).rsqrt_()
        a = weight * deviation
        y = torch.addcmul(bias, s - mean, a)
        gate = attention.excite(y)
        scale = gate * a
        out = _scale_and_shift(z, scale, torch.addcmul(gate * y, scale, s, value=-1), identity,
                               activate)
        ctx.attention, ctx.training = attention, norm.training
        ctx.has_identity = identity is not None
        ctx.save_for_backward(z, out if activate else None, s, gate, mean, a, deviation, bias,
                              *params)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        with without_autocast(grad_out):
            return _backward(ctx, grad_out)


def _backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
    z, out, s, gate, mean, a, deviation, bias, *params = ctx.saved_tensors
    centred = s - mean
    y = torch.addcmul(bias, centred, a)
    layout = torch.channels_last if is_channels_last(z) else torch.contiguous_format
    grad = grad_out.contiguous(memory_format=layout)
    if out is not None:
        grad = torch.ops.aten.threshold_backward.default(grad, out, 0)
    # The sums of grad (z - s) and of grad.
    products, totals = centred_sums(z, s, grad)
    through_gate, grad_params = ctx.attention.excite_backward(
        y, gate, torch.addcmul(products * a, totals, y), params)
    grad_y = torch.addcmul(through_gate, totals, gate)
    grad_bias = grad_y.sum(0)
    grad_weight = torch.addcmul(products * gate, grad_y, centred).sum(0).mul_(deviation)
    grad_z = None
    if ctx.needs_input_grad[0]:
        positions = z.size(2) * z.size(3)
        constant, slope = through_gate * (a / positions), None
        if ctx.training:
            # The batch's mean is that of s; its variance depends on z, and through s on z.
            a_of_mean = a / -(len(z) * positions)
            slope = grad_weight * deviation * a_of_mean
            constant += torch.addcmul(grad_bias * a_of_mean, slope, mean, value=-1)
        grad_z = _combine(grad, gate * a, z, slope, constant)
    return (grad_z, grad if ctx.has_identity else None, grad_weight, grad_bias,
            None, None, None, *grad_params)


def _scale_and_shift(z: Tensor, scale: Tensor, shift: Tensor, identity: Tensor | None,
                     activate: bool) -> Tensor:
    """Compute ReLU(identity + scale * z + shift); both coefficients are (N, C)."""
    result = torch.empty_like(z)
    maps = (z, result, _as_map(scale), _as_map(shift), *(() if identity is None else (identity, )))
    for x, out, factor, offset, *added in cache_sized_parts(*maps):
        part = None if z.dtype in HALF else out
        if added:
            part = torch.addcmul(widen(added[0]), widen(x), factor, out=part)
        else:
            part = torch.mul(widen(x), factor, out=part)
        part.add_(offset)
        if activate:
            part.relu_()
        if part is not out:
            out.copy_(part)
    return result


def _combine(grad: Tensor, scale: Tensor, z: Tensor, slope: Tensor | None,
             constant: Tensor) -> Tensor:
    """Compute scale * grad + slope * z + constant; the coefficients are (N, C), slope (C,)."""
    result = torch.empty_like(z)
    steepness = None if slope is None else slope[None, :, None, None]
    for x, gradient, out, factor, offset in cache_sized_parts(
            z, grad, result, _as_map(scale), _as_map(constant)):
        part = None if z.dtype in HALF else out
        if steepness is None:
            part = torch.mul(widen(gradient), factor, out=part).add_(offset)
        elif is_channels_last(z):
            part = torch.addcmul(offset, widen(x), steepness, out=part)
            part.addcmul_(widen(gradient), factor)
        else:
            # One operation more, but the other form does not vectorise along the columns.
            part = torch.mul(widen(gradient), factor, out=part)
            part.addcmul_(widen(x), steepness).add_(offset)
        if part is not out:
            out.copy_(part)
    return result


def _as_map(x: Tensor) -> Tensor:
    return x.view(*x.shape, 1, 1)
