"""Triton kernels for the small arithmetic between the passes over the maps: BN and the gates.

Values per sample and channel have shape (N, C), values per channel (C,), all in fp32. A program
takes a block of channels and all samples; for ECA's convolution it computes what it needs of the
neighbouring channels again, so that no program waits for another one.
"""
from __future__ import annotations

from .triton_import import jit, tl


@jit
def coefficients_kernel(s, squares, weight, bias, running_mean, running_var, batches, taps, y, gate,
                        mean_out, rstd_out, samples, channels, size, momentum, eps, top,
                        TRAINING: tl.constexpr, UPDATE: tl.constexpr, CUMULATIVE: tl.constexpr,
                        HAS_TAPS: tl.constexpr, K: tl.constexpr, PADDED_K: tl.constexpr,
                        BLOCK_N: tl.constexpr, BLOCK_C: tl.constexpr):
    """BN's channel means per sample, ECA's gate of them, and BN's running statistics.

    ``y = weight rstd (s - mean) + bias``, ``gate = top sigmoid(conv(y))``.
    """
    c = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    j = tl.arange(0, PADDED_K)
    near = c[:, None] + j[None, :] - K // 2
    there = (near >= 0) & (near < channels) & (j < K)[None, :]
    own = (j == K // 2)[None, :]
    count = (samples + tl.zeros((BLOCK_C, PADDED_K), tl.int32)).to(tl.float32)
    if TRAINING:
        mean = tl.zeros((BLOCK_C, PADDED_K), tl.float32)
        var = tl.zeros((BLOCK_C, PADDED_K), tl.float32)
        for start in range(0, samples, BLOCK_N):
            n = start + tl.arange(0, BLOCK_N)
            mask = (n < samples)[:, None, None] & there[None, :, :]
            place = n[:, None, None] * channels + near[None, :, :]
            mean += tl.sum(tl.load(s + place, mask, 0.0), 0)
        mean = mean / count
        for start in range(0, samples, BLOCK_N):
            n = start + tl.arange(0, BLOCK_N)
            mask = (n < samples)[:, None, None] & there[None, :, :]
            place = n[:, None, None] * channels + near[None, :, :]
            between = tl.where(mask, tl.load(s + place, mask, 0.0) - mean[None, :, :], 0.0)
            within = tl.load(squares + place, mask, 0.0) / size
            var += tl.sum(within + between * between, 0)
        var = var / count
    else:
        mean = tl.load(running_mean + near, there, 0.0)
        var = tl.load(running_var + near, there, 1.0)
    rstd = 1.0 / tl.sqrt(var + eps)
    slope = tl.load(weight + near, there, 0.0) * rstd
    offset = tl.load(bias + near, there, 0.0)
    for start in range(0, samples, BLOCK_N):
        n = start + tl.arange(0, BLOCK_N)
        mask = (n < samples)[:, None, None] & there[None, :, :]
        place = n[:, None, None] * channels + near[None, :, :]
        x = tl.load(s + place, mask, 0.0) - mean[None, :, :]
        value = tl.where(mask, slope[None, :, :] * x + offset[None, :, :], 0.0)
        row = n[:, None] * channels + c[None, :]
        inside = (n < samples)[:, None] & (c < channels)[None, :]
        tl.store(y + row, tl.sum(tl.where(own[None, :, :], value, 0.0), 2), inside)
        if HAS_TAPS:
            weights = tl.load(taps + j, j < K, 0.0)
            logits = tl.sum(value * weights[None, None, :], 2)
            tl.store(gate + row, top / (1.0 + tl.exp(-logits)), inside)
    own_mean = tl.sum(tl.where(own, mean, 0.0), 1)
    own_var = tl.sum(tl.where(own, var, 0.0), 1)
    tl.store(mean_out + c, own_mean, c < channels)
    tl.store(rstd_out + c, tl.sum(tl.where(own, rstd, 0.0), 1), c < channels)
    if UPDATE:
        share = momentum + tl.zeros((BLOCK_C,), tl.float32)
        if CUMULATIVE:
            share = 1.0 / (tl.load(batches) + tl.zeros((BLOCK_C,), tl.int64)).to(tl.float32)
        values = tl.sum(tl.where(own, count, 0.0), 1) * size
        old = tl.load(running_mean + c, c < channels, 0.0)
        tl.store(running_mean + c, old + share * (own_mean - old), c < channels)
        old = tl.load(running_var + c, c < channels, 0.0)
        # The running variance is the unbiased one.
        unbiased = own_var * (values / (values - 1.0))
        tl.store(running_var + c, old + share * (unbiased - old), c < channels)


@jit
def mean_gradient(n, c, j, samples, channels, products, sums, gate_grad, y, gate, given, taps, top,
                  MODE: tl.constexpr, K: tl.constexpr):
    """Gradient with respect to ``y`` of one block of samples, and its part of the taps'.

    ``MODE`` is 0 without a gate, 1 for ECA's, 2 where ``given`` is what came back through it.
    """
    row = n[:, None] * channels + c[None, :]
    inside = (n < samples)[:, None] & (c < channels)[None, :]
    result = tl.load(sums + row, inside, 0.0)
    of_taps = tl.zeros_like(j).to(tl.float32)
    if MODE != 0:
        result *= tl.load(gate + row, inside, 0.0)
    if MODE == 2:
        result += tl.load(given + row, inside, 0.0)
    if MODE == 1:
        # The channels to whose gates this one contributes.
        near = c[:, None] - j[None, :] + K // 2
        there = (near >= 0) & (near < channels) & (j < K)[None, :] & (c < channels)[:, None]
        mask = (n < samples)[:, None, None] & there[None, :, :]
        place = n[:, None, None] * channels + near[None, :, :]
        weight = tl.load(gate + place, mask, 0.0)
        logits = tl.load(gate_grad + place, mask, 0.0) * weight * (1.0 - weight / top)
        result += tl.sum(logits * tl.load(taps + j, j < K, 0.0)[None, None, :], 2)
        own = tl.load(y + row, inside, 0.0)
        of_taps = tl.sum(tl.sum(logits * own[:, :, None], 0), 0)
    return result, of_taps


@jit
def coefficients_backward_kernel(products, sums, gate_grad, s, y, gate, given, mean, rstd, weight,
                                 taps, slope_out, constant_out, grad_weight, grad_bias, grad_taps,
                                 samples, channels, size, top, TRAINING: tl.constexpr,
                                 MODE: tl.constexpr, K: tl.constexpr, PADDED_K: tl.constexpr,
                                 BLOCK_N: tl.constexpr, BLOCK_C: tl.constexpr):
    """Gradients of BN's and ECA's parameters, and the coefficients of the gradient of z."""
    c = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    j = tl.arange(0, PADDED_K)
    centre = tl.load(mean + c, c < channels, 0.0)
    deviation = tl.load(rstd + c, c < channels, 0.0)
    scale = tl.load(weight + c, c < channels, 0.0) * deviation
    of_scale = tl.zeros((BLOCK_C,), tl.float32)
    of_bias = tl.zeros((BLOCK_C,), tl.float32)
    of_taps = tl.zeros((PADDED_K,), tl.float32)
    for start in range(0, samples, BLOCK_N):
        n = start + tl.arange(0, BLOCK_N)
        row = n[:, None] * channels + c[None, :]
        inside = (n < samples)[:, None] & (c < channels)[None, :]
        of_y, part = mean_gradient(n, c, j, samples, channels, products, sums, gate_grad, y, gate,
                                   given, taps, top, MODE, K)
        product = tl.load(products + row, inside, 0.0)
        if MODE != 0:
            product *= tl.load(gate + row, inside, 0.0)
        x = tl.where(inside, tl.load(s + row, inside, 0.0) - centre[None, :], 0.0)
        of_scale += tl.sum(product + of_y * x, 0)
        of_bias += tl.sum(of_y, 0)
        of_taps += part
    slope = tl.zeros((BLOCK_C,), tl.float32)
    shared = tl.zeros((BLOCK_C,), tl.float32)
    if TRAINING:
        # The batch's mean is that of s; its variance depends on z, and through s on z.
        slope = -of_scale * scale * deviation * deviation / samples
        shared = scale * of_bias / samples
    for start in range(0, samples, BLOCK_N):
        n = start + tl.arange(0, BLOCK_N)
        row = n[:, None] * channels + c[None, :]
        inside = (n < samples)[:, None] & (c < channels)[None, :]
        of_y, _ = mean_gradient(n, c, j, samples, channels, products, sums, gate_grad, y, gate,
                                given, taps, top, MODE, K)
        total = tl.load(sums + row, inside, 0.0)
        if MODE != 0:
            total *= tl.load(gate + row, inside, 0.0)
        x = tl.load(s + row, inside, 0.0) - centre[None, :]
        of_s = scale[None, :] * (of_y - total) - shared[None, :] + slope[None, :] * x
        tl.store(constant_out + row, of_s / size, inside)
    tl.store(slope_out + c, slope / size, c < channels)
    tl.store(grad_weight + c, of_scale * deviation, c < channels)
    tl.store(grad_bias + c, of_bias, c < channels)
    if MODE == 1:
        tl.store(grad_taps + tl.program_id(0) * K + j, of_taps, j < K)


@jit
def se_gate_kernel(y, weight1, weight2, hidden, gate, channels, width, top,
                   BLOCK_C: tl.constexpr, BLOCK_H: tl.constexpr):
    """SE's gate of one sample: ``top sigmoid(W2 relu(W1 y))``."""
    n = tl.program_id(0).to(tl.int64)
    h = tl.arange(0, BLOCK_H)
    total = tl.zeros((BLOCK_H,), tl.float32)
    for start in range(0, channels, BLOCK_C):
        c = start + tl.arange(0, BLOCK_C)
        mask = (h < width)[:, None] & (c < channels)[None, :]
        matrix = tl.load(weight1 + h[:, None] * channels + c[None, :], mask, 0.0).to(tl.float32)
        values = tl.load(y + n * channels + c, c < channels, 0.0).to(tl.float32)
        total += tl.sum(matrix * values[None, :], 1)
    total = tl.where(total < 0, 0.0, total)
    tl.store(hidden + n * width + h, total, h < width)
    for start in range(0, channels, BLOCK_C):
        c = start + tl.arange(0, BLOCK_C)
        mask = (c < channels)[:, None] & (h < width)[None, :]
        matrix = tl.load(weight2 + c[:, None] * width + h[None, :], mask, 0.0).to(tl.float32)
        logits = tl.sum(matrix * total[None, :], 1)
        tl.store(gate + n * channels + c, top / (1.0 + tl.exp(-logits)), c < channels)


@jit
def se_gate_backward_kernel(gate_grad, gate, hidden, weight1, weight2, grad_logits, grad_hidden,
                            grad_y, channels, width, top,
                            BLOCK_C: tl.constexpr, BLOCK_H: tl.constexpr):
    """Gradients of one sample's logits, hidden units and inputs."""
    n = tl.program_id(0).to(tl.int64)
    h = tl.arange(0, BLOCK_H)
    total = tl.zeros((BLOCK_H,), tl.float32)
    for start in range(0, channels, BLOCK_C):
        c = start + tl.arange(0, BLOCK_C)
        weight = tl.load(gate + n * channels + c, c < channels, 0.0)
        grad = tl.load(gate_grad + n * channels + c, c < channels, 0.0)
        grad = grad * weight * (1.0 - weight / top)
        tl.store(grad_logits + n * channels + c, grad, c < channels)
        mask = (h < width)[:, None] & (c < channels)[None, :]
        matrix = tl.load(weight2 + c[None, :] * width + h[:, None], mask, 0.0).to(tl.float32)
        total += tl.sum(matrix * grad[None, :], 1)
    units = tl.load(hidden + n * width + h, h < width, 0.0)
    total = tl.where(units <= 0, 0.0, total)
    tl.store(grad_hidden + n * width + h, total, h < width)
    for start in range(0, channels, BLOCK_C):
        c = start + tl.arange(0, BLOCK_C)
        mask = (c < channels)[:, None] & (h < width)[None, :]
        matrix = tl.load(weight1 + h[None, :] * channels + c[:, None], mask, 0.0).to(tl.float32)
        tl.store(grad_y + n * channels + c, tl.sum(matrix * total[None, :], 1), c < channels)
