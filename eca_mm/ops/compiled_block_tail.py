"""The end of a residual block in training, for a compiler: operations that it fuses.

Of the modules one after the other a compiler makes three passes over the map where a block without
attention takes two: BN's statistics, the means of every sample, and the rest. With means and
variances of every sample, of which those of the batch are small sums (the variance within the
samples plus that between them), the first two are one. Notation as in
:mod:`eca_mm.ops.training_block_tail`.
"""
import torch
from torch import Tensor, nn

from eca_mm.layers.channel_attention import ChannelAttention
from eca_mm.layers.checks import is_compiling

from .running_statistics import update_running_statistics


def suits_compilers(z: Tensor, norm: nn.BatchNorm2d) -> bool:
    """Tell whether a compiler looks that had better see :func:`compiled_block_tail`.

    Args:
        z (Tensor): What is normalised, at an end of a block for which
            :func:`~eca_mm.ops.training_block_tail.can_fuse_block_tail` holds.
        norm (nn.BatchNorm2d): The normalisation.

    Returns:
        bool: Only for BN that takes its statistics from the batch, in its own floating-point type.
    """
    return (is_compiling() and norm.training and norm.momentum is not None
            and z.dtype == norm.weight.dtype)


def compiled_block_tail(z: Tensor, norm: nn.BatchNorm2d, attention: ChannelAttention,
                        identity: Tensor | None, activation: nn.Module | None) -> Tensor:
    """Compute ``activation(identity + attention(norm(z)))`` and update the running statistics.

    Args:
        z (Tensor): Output of the last convolution, of shape (N, C, H, W).
        norm (nn.BatchNorm2d): The normalisation after it, in training mode.
        attention (ChannelAttention): The attention after that.
        identity (Tensor | None): What is added, of shape (N, C, H, W); None for nothing.
        activation (nn.Module | None): What follows the addition.

    Returns:
        Tensor: Of shape (N, C, H, W).
    """
    variances, s = torch.var_mean(z, (2, 3), correction=0)
    mean = s.mean(0)
    centred = s - mean
    var = variances.mean(0) + centred.square().mean(0)
    update_running_statistics(norm, mean.detach(), var.detach(), z.numel() // z.size(1))
    a = norm.weight * (var + norm.eps).rsqrt()
    y = torch.addcmul(norm.bias, centred, a)
    gate = attention.excite(y)
    out = _as_map(gate * a) * (z - _as_map(s)) + _as_map(gate * y)
    if identity is not None:
        out = out + identity
    return out if activation is None else activation(out)


def _as_map(x: Tensor) -> Tensor:
    return x[:, :, None, None]
