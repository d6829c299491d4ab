"""Triton kernels that pass over whole maps (N, C, H, W), in either memory format.

A program works on a tile of channels and positions of one sample. ``stride_c`` and ``stride_p`` are
the strides of channels and of positions: (H W, 1) for contiguous maps, (1, C) in channels_last. All
arithmetic is in fp32, whatever the map's type. NaN passes through the activations as in PyTorch.
"""
from __future__ import annotations

from .triton_import import jit, tl


@jit
def activate(value, ACT: tl.constexpr):
    """Apply ReLU (1), ReLU6 (6) or nothing (0)."""
    if ACT != 0:
        value = tl.where(value < 0, 0.0, value)
    if ACT == 6:
        value = tl.where(value > 6, 6.0, value)
    return value


@jit
def mask_gradient(grad, value, ACT: tl.constexpr):
    """Let a gradient pass where the activation was in its linear range."""
    if ACT != 0:
        grad = tl.where(value <= 0, 0.0, grad)
    if ACT == 6:
        grad = tl.where(value >= 6, 0.0, grad)
    return grad


@jit
def statistics_kernel(z, mean, squares, channels, size, stride_c, stride_p,
                      BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr):
    """Mean and sum of squared deviations of every sample's channels, reading the map once.

    Those of the tiles are merged by Chan's formula, which loses no digits far from zero.
    """
    c = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    n = tl.program_id(1).to(tl.int64)
    base = z + n * channels * size
    average = tl.zeros((BLOCK_C,), tl.float32)
    total = tl.zeros((BLOCK_C,), tl.float32)
    for start in range(0, size, BLOCK_P):
        p = start + tl.arange(0, BLOCK_P)
        mask = (c < channels)[:, None] & (p < size)[None, :]
        x = tl.load(base + c[:, None] * stride_c + p[None, :] * stride_p, mask, 0.0).to(tl.float32)
        before = (start + tl.zeros((BLOCK_C,), tl.int32)).to(tl.float32)
        count = tl.minimum(size - before, 1.0 * BLOCK_P)
        tile_mean = tl.sum(x, 1) / count
        deviation = tl.where(mask, x - tile_mean[:, None], 0.0)
        step = tile_mean - average
        share = count / (before + count)
        average += step * share
        total += tl.sum(deviation * deviation, 1) + step * step * before * share
    row = n * channels + c
    tl.store(mean + row, average, c < channels)
    tl.store(squares + row, total, c < channels)


@jit
def scale_and_add_kernel(z, identity, s, y, gate, weight, rstd, out, channels, size, stride_c,
                         stride_p, ACT: tl.constexpr, HAS_IDENTITY: tl.constexpr,
                         HAS_GATE: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr):
    """``act(identity + gate (weight rstd (z - s) + y))``."""
    p = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    n = tl.program_id(2).to(tl.int64)
    inside = c < channels
    mask = inside[:, None] & (p < size)[None, :]
    place = n * channels * size + c[:, None] * stride_c + p[None, :] * stride_p
    row = n * channels + c
    slope = tl.load(weight + c, inside, 0.0) * tl.load(rstd + c, inside, 0.0)
    mean = tl.load(s + row, inside, 0.0)
    value = slope[:, None] * (tl.load(z + place, mask, 0.0).to(tl.float32) - mean[:, None])
    value += tl.load(y + row, inside, 0.0)[:, None]
    if HAS_GATE:
        value *= tl.load(gate + row, inside, 0.0)[:, None]
    if HAS_IDENTITY:
        value += tl.load(identity + place, mask, 0.0).to(tl.float32)
    tl.store(out + place, activate(value, ACT), mask)


@jit
def gradient_sums_kernel(grad, z, out, s, y, gate, weight, rstd, masked, products, sums, gate_grad,
                         channels, size, stride_c, stride_p, ACT: tl.constexpr,
                         HAS_IDENTITY: tl.constexpr, HAS_GATE: tl.constexpr,
                         BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr):
    """Mask the gradient, sum it and its products with ``z - s``, and derive the gate's gradient.

    The masked gradient is that of the identity and is written if there is one; without, the
    activation's input is computed again.
    """
    c = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    n = tl.program_id(1).to(tl.int64)
    inside = c < channels
    row = n * channels + c
    slope = tl.load(weight + c, inside, 0.0) * tl.load(rstd + c, inside, 0.0)
    mean = tl.load(s + row, inside, 0.0)
    offset = tl.load(y + row, inside, 0.0)
    product = tl.zeros((BLOCK_C,), tl.float32)
    total = tl.zeros((BLOCK_C,), tl.float32)
    for start in range(0, size, BLOCK_P):
        p = start + tl.arange(0, BLOCK_P)
        mask = inside[:, None] & (p < size)[None, :]
        place = n * channels * size + c[:, None] * stride_c + p[None, :] * stride_p
        g = tl.load(grad + place, mask, 0.0).to(tl.float32)
        x = tl.load(z + place, mask, 0.0).to(tl.float32) - mean[:, None]
        if ACT != 0:
            if HAS_IDENTITY:
                g = mask_gradient(g, tl.load(out + place, mask, 0.0).to(tl.float32), ACT)
                tl.store(masked + place, g, mask)
            else:
                value = slope[:, None] * x + offset[:, None]
                if HAS_GATE:
                    value *= tl.load(gate + row, inside, 0.0)[:, None]
                g = mask_gradient(g, value, ACT)
        product += tl.sum(tl.where(mask, g * x, 0.0), 1)
        total += tl.sum(tl.where(mask, g, 0.0), 1)
    tl.store(products + row, product, inside)
    tl.store(sums + row, total, inside)
    if HAS_GATE:
        tl.store(gate_grad + row, product * slope + total * offset, inside)


@jit
def input_gradient_kernel(grad, z, s, y, gate, weight, rstd, slope, constant, result, channels,
                          size, stride_c, stride_p, ACT: tl.constexpr, HAS_GATE: tl.constexpr,
                          BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr):
    """``gate weight rstd grad + slope (z - s) + constant``, with ``grad`` masked if ``ACT``."""
    p = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    n = tl.program_id(2).to(tl.int64)
    inside = c < channels
    mask = inside[:, None] & (p < size)[None, :]
    place = n * channels * size + c[:, None] * stride_c + p[None, :] * stride_p
    row = n * channels + c
    scale = tl.load(weight + c, inside, 0.0) * tl.load(rstd + c, inside, 0.0)
    offset = tl.load(y + row, inside, 0.0)
    if HAS_GATE:
        weights = tl.load(gate + row, inside, 0.0)
        scale *= weights
        offset *= weights
    g = tl.load(grad + place, mask, 0.0).to(tl.float32)
    x = tl.load(z + place, mask, 0.0).to(tl.float32) - tl.load(s + row, inside, 0.0)[:, None]
    if ACT != 0:
        g = mask_gradient(g, scale[:, None] * x + offset[:, None], ACT)
    value = scale[:, None] * g + tl.load(slope + c, inside, 0.0)[:, None] * x
    value += tl.load(constant + row, inside, 0.0)[:, None]
    tl.store(result + place, value, mask)


@jit
def gate_and_add_kernel(z, identity, means, taps, out, channels, size, stride_c, stride_p, top,
                        ACT: tl.constexpr, HAS_IDENTITY: tl.constexpr, K: tl.constexpr,
                        PADDED_K: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr):
    """``act(identity + gate z)``; ``means`` is the gate if K is 0, else what ECA makes it from."""
    p = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    n = tl.program_id(2).to(tl.int64)
    inside = c < channels
    mask = inside[:, None] & (p < size)[None, :]
    place = n * channels * size + c[:, None] * stride_c + p[None, :] * stride_p
    if K == 0:
        gate = tl.load(means + n * channels + c, inside, 0.0).to(tl.float32)
    else:
        j = tl.arange(0, PADDED_K)
        near = c[:, None] + j[None, :] - K // 2
        there = (near >= 0) & (near < channels) & (j < K)[None, :]
        values = tl.load(means + n * channels + near, there, 0.0).to(tl.float32)
        weights = tl.load(taps + j, j < K, 0.0).to(tl.float32)
        gate = top / (1.0 + tl.exp(-tl.sum(values * weights[None, :], 1)))
    value = gate[:, None] * tl.load(z + place, mask, 0.0).to(tl.float32)
    if HAS_IDENTITY:
        value += tl.load(identity + place, mask, 0.0).to(tl.float32)
    tl.store(out + place, activate(value, ACT), mask)
