"""The end of a residual block as one differentiable function: BN, attention, addition, ReLU.

Computed one after the other, these keep two maps more for the backward pass than a block without
attention does and pass over the memory about twice as often. But with ``z`` the convolution's
output and ``s`` its channel means per sample, BN gives ``y = a (z - m) + b`` with channel means
``a (s - m) + b``, so that the attention's weights w are known before any map but z is there, and
everything is one affine map per sample and channel::

    out = ReLU(identity + A (z - s) + D),    A = w a,    D = w (a (s - m) + b)

A and D are functions of s, of the variances v about s, and of the parameters: small ones, that
autograd differentiates. The backward pass over the maps is written out and needs z and out only.
"""
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .channel_attention import ChannelAttention, has_hooks, is_known_by_excite
from .checks import is_captured
from .chunks import chunks


def can_fuse_tail(z: Tensor, norm: nn.Module, attention: nn.Module | None,
                  identity: Tensor | None, activation: nn.Module | None) -> bool:
    """Tell whether :func:`fused_tail` computes the same as the modules one after the other.

    It does for ordinary BN (also frozen or in evaluation mode) and any channel attention, in one
    floating-point type; SyncBN, mixed precision, modules with hooks, tracing and compiling take
    the plain path.

    Args:
        z (Tensor): Output of the last convolution, of shape (N, C, H, W).
        norm (nn.Module): The normalisation after it.
        attention (nn.Module | None): The attention after that.
        identity (Tensor | None): What is added, of shape (N, C, H, W).
        activation (nn.Module | None): What follows the addition.

    Returns:
        bool: Whether it applies.
    """
    if not (z.requires_grad and torch.is_grad_enabled()) or is_captured():
        return False
    if type(norm) is not nn.BatchNorm2d:
        return False
    if not is_known_by_excite(attention):
        return False
    if norm.weight is None or norm.running_mean is None:
        return False
    if activation is not None and type(activation) is not nn.ReLU:
        return False
    if has_hooks(norm) or (activation is not None and has_hooks(activation)):
        return False
    if identity is not None and (identity.shape != z.shape or identity.dtype != z.dtype):
        return False
    # BN refuses to normalise single values, and says so itself.
    enough = z.numel() // z.size(1) > 1
    return enough and all(p.dtype == z.dtype for p in (norm.weight, *attention.parameters()))


def fused_tail(z: Tensor, norm: nn.BatchNorm2d, attention: ChannelAttention,
               identity: Tensor | None, activate: bool) -> Tensor:
    """Compute ``ReLU(identity + attention(norm(z)))``, saving z and the output for backward.

    Running statistics are updated as the normalisation does it. The result can be differentiated
    once.

    Args:
        z (Tensor): Output of the last convolution, of shape (N, C, H, W).
        norm (nn.BatchNorm2d): The normalisation after it, in either mode.
        attention (ChannelAttention): The attention after that.
        identity (Tensor | None): What is added, of shape (N, C, H, W); None for nothing.
        activate (bool): Whether a ReLU follows.

    Returns:
        Tensor: Of shape (N, C, H, W), in the memory format of ``z``.
    """
    return _FusedTail.apply(z, identity, norm.weight, norm.bias, norm, attention, activate,
                            *attention.parameters())


def _update_running_statistics(norm: nn.BatchNorm2d, mean: Tensor, var: Tensor, n: int) -> None:
    norm.num_batches_tracked.add_(1)
    momentum = norm.momentum
    if momentum is None:
        momentum = 1 / float(norm.num_batches_tracked)
    norm.running_mean.lerp_(mean, momentum)
    # The running variance is the unbiased one.
    norm.running_var.lerp_(var * (n / (n - 1)), momentum)


class _Excite(nn.Module):
    """``attention.excite`` as a module, whose parameters can be replaced in a call."""

    def __init__(self, attention: ChannelAttention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, y: Tensor) -> Tensor:
        return self.attention.excite(y)


class _FusedTail(torch.autograd.Function):

    @staticmethod
    def forward(ctx, z, identity, weight, bias, norm, attention, activate, *params):
        running = () if norm.training else (norm.running_mean, norm.running_var)
        s = z.mean((2, 3))
        v = _variances(z, s) if norm.training else None
        scale, offset, mean, var = _coefficients(attention.excite, s, v, weight, bias, norm.eps,
                                                 *running)
        if norm.training:
            # Here rather than after the call, which checkpointing cuts off when it recomputes.
            _update_running_statistics(norm, mean, var, z.numel() // z.size(1))
        out = torch.empty_like(z)
        shift = offset - scale * s
        for i in chunks(len(z), z):
            a, b = _as_map(scale[i]), _as_map(shift[i])
            if identity is None:
                torch.mul(z[i], a, out=out[i]).add_(b)
            else:
                torch.addcmul(identity[i], z[i], a, out=out[i]).add_(b)
            if activate:
                out[i].relu_()
        ctx.eps, ctx.attention, ctx.activate = norm.eps, attention, activate
        ctx.has_identity, ctx.num_running = identity is not None, len(running)
        ctx.save_for_backward(z, out if activate else None, s, v, weight, bias, *running, *params)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out):
        z, out, s, v, weight, bias, *others = ctx.saved_tensors
        running, params = others[:ctx.num_running], others[ctx.num_running:]
        names = [f'attention.{name}' for name, _ in ctx.attention.named_parameters()]
        excite = _Excite(ctx.attention)

        def excite_saved(y):
            # The parameters of the forward pass, which functional_call may have replaced there.
            return torch.func.functional_call(excite, dict(zip(names, saved, strict=True)), (y, ))

        with torch.enable_grad():
            leaves = [None if t is None else t.detach().requires_grad_()
                      for t in (s, v, weight, bias, *params)]
            saved = leaves[4:]
            scale, offset, *_ = _coefficients(excite_saved, *leaves[:4], ctx.eps, *running)
        if ctx.activate:
            grad = torch.ops.aten.threshold_backward(grad_out, out, 0)
        else:
            grad = grad_out
        grad_offset = grad.sum((2, 3))
        grad_scale = _centred_products(z, s, grad)
        present = [leaf for leaf in leaves if leaf is not None]
        grads = iter(torch.autograd.grad((scale, offset), present, (grad_scale, grad_offset),
                                         allow_unused=True))
        grad_s, grad_v, *grad_params = [None if leaf is None else next(grads) for leaf in leaves]
        grad_z = None
        if ctx.needs_input_grad[0]:
            n = z.size(2) * z.size(3)
            scale = scale.detach()
            constant = (grad_s - scale * grad_offset) / n
            grad_z = _grad_z(z, s, grad, scale, constant, None if v is None else grad_v * (2 / n))
        grad_identity = grad if ctx.has_identity else None
        return (grad_z, grad_identity, *grad_params[:2], None, None, None, *grad_params[2:])


def _coefficients(excite: Callable[[Tensor], Tensor], s: Tensor, v: Tensor | None, weight: Tensor,
                  bias: Tensor, eps: float, mean: Tensor | None = None,
                  var: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A and D of shape (N, C), and the mean and variance (C, ) that normalise.

    With variances v the batch's own statistics are taken: the variance within the samples plus
    that between them, which does not cancel however far the mean is from zero.
    """
    if v is not None:
        mean = s.mean(0)
        var = v.mean(0) + (s - mean).square().mean(0)
    scale = weight * (var + eps).rsqrt()
    y = torch.addcmul(bias, s - mean, scale)
    gate = excite(y)
    return gate * scale, gate * y, mean, var


def _as_map(x: Tensor) -> Tensor:
    return x[:, :, None, None]


def _variances(z: Tensor, s: Tensor) -> Tensor:
    """Variance (N, C) of every channel of every sample about its mean s, biased."""
    parts = [(z[i] - _as_map(s[i])).square_().mean((2, 3)) for i in chunks(len(z), z)]
    return torch.cat(parts)


def _centred_products(z: Tensor, s: Tensor, grad: Tensor) -> Tensor:
    """Sum of grad * (z - s) over the positions, of shape (N, C)."""
    parts = [(z[i] - _as_map(s[i])).mul_(grad[i]).sum((2, 3)) for i in chunks(len(z), z)]
    return torch.cat(parts)


def _grad_z(z: Tensor, s: Tensor, grad: Tensor, scale: Tensor, constant: Tensor,
            slope: Tensor | None) -> Tensor:
    """scale * grad + slope * (z - s) + constant, all coefficients of shape (N, C)."""
    result = torch.empty_like(z)
    if slope is not None:
        constant = constant - slope * s
    for i in chunks(len(z), z):
        part = torch.mul(grad[i], _as_map(scale[i]), out=result[i])
        if slope is not None:
            part.addcmul_(z[i], _as_map(slope[i]))
        part.add_(_as_map(constant[i]))
    return result
