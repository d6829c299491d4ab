"""Sums over the positions of a map, per sample and channel, in either memory format."""
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from .cache_sized_slices import cache_sized_slices

HALF = (torch.float16, torch.bfloat16)


def widen(x: Tensor) -> Tensor:
    """Convert half precision to fp32 and leave everything else as it is.

    Args:
        x (Tensor): Any tensor.

    Returns:
        Tensor: Of the same shape.
    """
    return x.float() if x.dtype in HALF else x


def map_means(z: Tensor) -> Tensor:
    """Mean of every channel of every sample, in fp32 for half precision.

    Args:
        z (Tensor): Map of shape (N, C, H, W).

    Returns:
        Tensor: Of shape (N, C).
    """
    if z.dtype in HALF:
        return z.mean((2, 3), dtype=torch.float32)
    if z.device.type != 'cpu' or not z.numel():
        return z.mean((2, 3))
    # A mean takes twice as long for small maps, most of it to prepare its divisor.
    return z.sum((2, 3)).mul_(1 / (z.size(2) * z.size(3)))


def is_channels_last(x: Tensor) -> bool:
    """Tell whether a map has its channels, and not its columns, next to each other in memory.

    Args:
        x (Tensor): Map of shape (N, C, H, W).

    Returns:
        bool: False also where both are the same, as for 1x1 maps.
    """
    return not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)


def without_autocast(x: Tensor) -> AbstractContextManager:
    """Let small arithmetic keep its fp32 under autocast.

    Args:
        x (Tensor): What it is done with.

    Returns:
        AbstractContextManager: A context in which ``x``'s device does not convert.
    """
    if x.device.type not in ('cpu', 'cuda'):
        return nullcontext()
    return torch.autocast(x.device.type, enabled=False)


def batch_statistics(z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of every channel of every sample, and biased variance of every channel of the batch.

    The variance is taken about the mean: the difference of two large numbers would lose all
    digits where a channel's mean is far from zero.

    Args:
        z (Tensor): Map of shape (N, C, H, W).

    Returns:
        tuple[Tensor, Tensor]: Means of shape (N, C), variances of shape (C,); in fp32 for half
        precision.
    """
    s = map_means(z)
    if z.device.type == 'cpu' and is_channels_last(z) and z.dtype not in HALF:
        # BN's own kernel is faster in this format, but its mean less exact.
        return s, torch.batch_norm_update_stats(z, None, None, 0.)[1]
    parts = [(widen(z[i]) - s[i, :, None, None]).square_().mean((2, 3))
             for i in cache_sized_slices(len(z), z)]
    # Within the samples plus between them.
    return s, torch.cat(parts).mean(0) + (s - s.mean(0)).square().mean(0)


def centred_sums(z: Tensor, s: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """Sum ``grad * (z - s)`` and ``grad`` over the positions.

    Args:
        z (Tensor): Map of shape (N, C, H, W), contiguous or in channels_last.
        s (Tensor): What to subtract, of shape (N, C).
        grad (Tensor): Map of the same shape and memory format.

    Returns:
        tuple[Tensor, Tensor]: The two sums, both of shape (N, C).
    """
    if z.device.type != 'cpu':
        return ((z - s[:, :, None, None]).mul_(grad).sum((2, 3)), grad.sum((2, 3)))
    if z.dtype in HALF:
        parts = [centred_sums(widen(z[i]), s[i], widen(grad[i]))
                 for i in cache_sized_slices(len(z), z)]
        products, totals = zip(*parts, strict=True)
        return torch.cat(products), torch.cat(totals)
    if is_channels_last(z):
        one = torch.ones_like(s[0])
        sums = [_norm_sums(*sample, one)
                for sample in zip(z.split(1), s, grad.split(1), strict=True)]
        products, totals = zip(*sums, strict=True)
        return torch.stack(products), torch.stack(totals)
    # One sample with N * C channels.
    flat = (1, -1, *z.shape[2:])
    s_flat = s.flatten()
    products, totals = _norm_sums(z.view(flat), s_flat, grad.view(flat), torch.ones_like(s_flat))
    return products.view_as(s), totals.view_as(s)


def _norm_sums(z: Tensor, s: Tensor, grad: Tensor, one: Tensor) -> tuple[Tensor, Tensor]:
    """The sums of one sample: the gradients of BN's parameters, if its deviation is 1."""
    _, products, totals = torch.ops.aten.native_batch_norm_backward.default(
        grad, z, one, s, one, s, one, True, 0., [False, True, True])
    return products, totals
