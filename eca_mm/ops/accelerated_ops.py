"""The end of a residual block as operators of PyTorch, each of which starts one Triton kernel.

They are registered as ``torch.ops.eca_mm.*`` with shapes for the meta device, so that counting,
compiling and exporting see single operators. What an operator reads and writes is what it takes and
returns: it allocates its results, starts its kernel, and does nothing else. Maps are of one type,
contiguous or all in channels_last; values per sample and channel (N, C) and per channel (C,) are in
fp32.
"""
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from . import triton_coefficients, triton_maps
from .bn_reductions import is_channels_last

# PyTorch before 2.4 has no such operators.
HAS_CUSTOM_OPS = hasattr(torch.library, 'custom_op')
ACTIVATIONS = {None: 0, torch.nn.ReLU: 1, torch.nn.ReLU6: 6}
# Wider hidden layers of SE and longer convolutions of ECA do not fit into a kernel's registers.
MAX_WIDTH, MAX_TAPS = 512, 31


def _power_of_two(value: int) -> int:
    return 1 << max(0, value - 1).bit_length()


def _tile(z: Tensor) -> dict[str, int]:
    """Sizes of a tile of a map."""
    channels, size = z.size(1), z.size(2) * z.size(3)
    if is_channels_last(z):
        block_c = min(64, _power_of_two(channels))
        return dict(BLOCK_C=block_c, BLOCK_P=min(2048 // block_c, _power_of_two(size)))
    block_p = min(1024, _power_of_two(size))
    return dict(BLOCK_C=min(2048 // block_p, 64, _power_of_two(channels)), BLOCK_P=block_p)


def _geometry(z: Tensor) -> tuple[int, int, int, int]:
    """Channels, positions, and the strides of both."""
    channels, size = z.size(1), z.size(2) * z.size(3)
    return (channels, size, 1, channels) if is_channels_last(z) else (channels, size, size, 1)


def _start(kernel: Any, grid: tuple[int, ...], z: Tensor, *args: Any, **constants: Any) -> None:
    # Triton launches on the current device.
    with torch.cuda.device_of(z):
        # Never read where a kernel has no use for it.
        kernel[grid](*(z if arg is None else arg for arg in args), **constants)


def _over_tiles(kernel: Any, z: Tensor, *args: Any, **constants: Any) -> None:
    tile = _tile(z)
    channels, size, *strides = _geometry(z)
    grid = (-(-size // tile['BLOCK_P']), -(-channels // tile['BLOCK_C']), len(z))
    _start(kernel, grid, z, *args[:-1], channels, size, *strides, *args[-1], **constants, **tile)


def _over_channels(kernel: Any, z: Tensor, *args: Any, **constants: Any) -> None:
    tile = _tile(z)
    grid = (-(-z.size(1) // tile['BLOCK_C']), len(z))
    _start(kernel, grid, z, *args, *_geometry(z), **constants, **tile)


def _operator(schema: str, allocate: Callable) -> Callable:
    """Make an operator of a function that gets the allocated results as its last argument."""

    def decorator(launch: Callable) -> Callable:
        name = f'eca_mm::{launch.__name__}'

        def run(*args: Any) -> Any:
            results = allocate(*args)
            launch(*args, results)
            return results

        run.__name__, run.__doc__ = launch.__name__, launch.__doc__
        if not HAS_CUSTOM_OPS:
            return run
        operator = torch.library.custom_op(
            name, run, schema=schema,
            mutates_args=('running_mean', 'running_var') if '!' in schema else ())
        operator.register_fake(allocate)
        return operator

    return decorator


def _per_sample(z: Tensor) -> Tensor:
    return z.new_empty((z.size(0), z.size(1)), dtype=torch.float32)


def _nothing(z: Tensor) -> Tensor:
    return z.new_empty((0,), dtype=torch.float32)


@_operator('(Tensor z) -> (Tensor, Tensor)', lambda z: (_per_sample(z), _per_sample(z)))
def map_statistics(z: Tensor, results: tuple) -> None:
    """Means and sums of squared deviations per sample and channel, (N, C) each."""
    _over_channels(triton_maps.statistics_kernel, z, z, *results)


def _coefficients(s: Tensor, squares: Tensor, weight: Tensor, bias: Tensor, running_mean: Tensor,
                  running_var: Tensor, batches: Tensor, taps: Tensor | None,
                  *options: Any) -> tuple[Tensor, ...]:
    gate = _nothing(s) if taps is None else torch.empty_like(s)
    return torch.empty_like(s), gate, torch.empty_like(weight), torch.empty_like(weight)


def _small_tile(s: Tensor, taps: Tensor | None) -> tuple[tuple[int], dict[str, int]]:
    k = 1 if taps is None else taps.numel()
    return (-(-s.size(1) // 16),), dict(K=k, PADDED_K=_power_of_two(k), BLOCK_C=16,
                                        BLOCK_N=min(32, _power_of_two(len(s))))


@_operator('(Tensor s, Tensor squares, Tensor weight, Tensor bias, Tensor(a!) running_mean, '
           'Tensor(b!) running_var, Tensor batches, Tensor? taps, int size, float momentum, '
           'float eps, float top, bool training, bool cumulative) '
           '-> (Tensor, Tensor, Tensor, Tensor)', _coefficients)
def block_coefficients(s: Tensor, squares: Tensor, weight: Tensor, bias: Tensor,
                       running_mean: Tensor, running_var: Tensor, batches: Tensor,
                       taps: Tensor | None, size: int, momentum: float, eps: float, top: float,
                       training: bool, cumulative: bool, results: tuple) -> None:
    """BN's means y (N, C), ECA's gate (N, C) if there are taps, BN's mean and 1 / std (C,)."""
    grid, tile = _small_tile(s, taps)
    _start(triton_coefficients.coefficients_kernel, grid, s, s, squares, weight, bias,
           running_mean, running_var, batches, taps, *results, *s.shape, size, momentum, eps, top,
           TRAINING=training, UPDATE=training, CUMULATIVE=cumulative,
           HAS_TAPS=taps is not None, **tile)


@_operator('(Tensor z, Tensor? identity, Tensor s, Tensor y, Tensor? gate, Tensor weight, '
           'Tensor rstd, int act) -> Tensor', lambda z, *_: torch.empty_like(z))
def scale_and_add(z: Tensor, identity: Tensor | None, s: Tensor, y: Tensor, gate: Tensor | None,
                  weight: Tensor, rstd: Tensor, act: int, result: Tensor) -> None:
    """``act(identity + gate (weight rstd (z - s) + y))``."""
    _over_tiles(triton_maps.scale_and_add_kernel, z, z, identity, s, y, gate, weight, rstd, result,
                (), ACT=act, HAS_IDENTITY=identity is not None, HAS_GATE=gate is not None)


def _sums(grad: Tensor, z: Tensor, out: Tensor | None, s: Tensor, y: Tensor, gate: Tensor | None,
          *_: Any) -> tuple[Tensor, ...]:
    masked = _nothing(z) if out is None else torch.empty_like(z)
    return (masked, torch.empty_like(s), torch.empty_like(s),
            _nothing(z) if gate is None else torch.empty_like(s))


@_operator('(Tensor grad, Tensor z, Tensor? out, Tensor s, Tensor y, Tensor? gate, Tensor weight, '
           'Tensor rstd, int act) -> (Tensor, Tensor, Tensor, Tensor)', _sums)
def gradient_sums(grad: Tensor, z: Tensor, out: Tensor | None, s: Tensor, y: Tensor,
                  gate: Tensor | None, weight: Tensor, rstd: Tensor, act: int,
                  results: tuple) -> None:
    """Masked gradient if ``out`` is given, its sums with (z - s) and alone, the gate's gradient."""
    _over_channels(triton_maps.gradient_sums_kernel, z, grad, z, out, s, y, gate, weight, rstd,
                   *results, ACT=act, HAS_IDENTITY=out is not None, HAS_GATE=gate is not None)


def _coefficients_backward(products: Tensor, sums: Tensor, gate_grad: Tensor, s: Tensor, y: Tensor,
                           gate: Tensor | None, given: Tensor | None, mean: Tensor, rstd: Tensor,
                           weight: Tensor, taps: Tensor | None, *_: Any) -> tuple[Tensor, ...]:
    of_taps = _nothing(s) if taps is None else s.new_empty((-(-s.size(1) // 16), taps.numel()))
    return (torch.empty_like(mean), torch.empty_like(s), torch.empty_like(mean),
            torch.empty_like(mean), of_taps)


@_operator('(Tensor products, Tensor sums, Tensor gate_grad, Tensor s, Tensor y, Tensor? gate, '
           'Tensor? given, Tensor mean, Tensor rstd, Tensor weight, Tensor? taps, int size, '
           'float top, bool training) -> (Tensor, Tensor, Tensor, Tensor, Tensor)',
           _coefficients_backward)
def block_coefficients_backward(products: Tensor, sums: Tensor, gate_grad: Tensor, s: Tensor,
                                y: Tensor, gate: Tensor | None, given: Tensor | None, mean: Tensor,
                                rstd: Tensor, weight: Tensor, taps: Tensor | None, size: int,
                                top: float, training: bool, results: tuple) -> None:
    """Slope (C,) and constant (N, C) of z's gradient, those of weight, bias and, in parts, taps."""
    grid, tile = _small_tile(s, taps)
    mode = 1 if taps is not None else 2 if gate is not None else 0
    _start(triton_coefficients.coefficients_backward_kernel, grid, s, products, sums, gate_grad, s,
           y, gate, given, mean, rstd, weight, taps, *results, *s.shape, size, top,
           TRAINING=training, MODE=mode, **tile)


@_operator('(Tensor grad, Tensor z, Tensor s, Tensor y, Tensor? gate, Tensor weight, Tensor rstd, '
           'Tensor slope, Tensor constant, int act) -> Tensor',
           lambda grad, z, *_: torch.empty_like(z))
def input_gradient(grad: Tensor, z: Tensor, s: Tensor, y: Tensor, gate: Tensor | None,
                   weight: Tensor, rstd: Tensor, slope: Tensor, constant: Tensor, act: int,
                   result: Tensor) -> None:
    """``gate weight rstd grad + slope (z - s) + constant``; ``act`` masks the gradient first."""
    _over_tiles(triton_maps.input_gradient_kernel, z, grad, z, s, y, gate, weight, rstd, slope,
                constant, result, (), ACT=act, HAS_GATE=gate is not None)


@_operator('(Tensor z, Tensor? identity, Tensor means, Tensor? taps, float top, int act) -> Tensor',
           lambda z, *_: torch.empty_like(z))
def gate_and_add(z: Tensor, identity: Tensor | None, means: Tensor, taps: Tensor | None,
                 top: float, act: int, result: Tensor) -> None:
    """``act(identity + gate z)``, with ECA's gate of the means (N, C), or these themselves."""
    k = 0 if taps is None else taps.numel()
    _over_tiles(triton_maps.gate_and_add_kernel, z, z, identity, means, taps, result, (top,),
                ACT=act, HAS_IDENTITY=identity is not None, K=k, PADDED_K=_power_of_two(k))


def _se_tile(weight1: Tensor) -> dict[str, int]:
    block_h = _power_of_two(len(weight1))
    return dict(BLOCK_H=block_h, BLOCK_C=max(16, min(64, 4096 // block_h)))


@_operator('(Tensor y, Tensor weight1, Tensor weight2, float top) -> (Tensor, Tensor)',
           lambda y, weight1, *_: (y.new_empty((len(y), len(weight1)), dtype=torch.float32),
                                   torch.empty_like(y, dtype=torch.float32)))
def se_gate(y: Tensor, weight1: Tensor, weight2: Tensor, top: float, results: tuple) -> None:
    """SE's hidden units (N, C / r) and gate (N, C)."""
    _start(triton_coefficients.se_gate_kernel, (len(y),), y, y, weight1, weight2, *results,
           y.size(1), len(weight1), top, **_se_tile(weight1))


@_operator('(Tensor gate_grad, Tensor gate, Tensor hidden, Tensor weight1, Tensor weight2, '
           'float top) -> (Tensor, Tensor, Tensor)',
           lambda gate_grad, gate, hidden, *_: (torch.empty_like(gate), torch.empty_like(hidden),
                                                torch.empty_like(gate)))
def se_gate_backward(gate_grad: Tensor, gate: Tensor, hidden: Tensor, weight1: Tensor,
                     weight2: Tensor, top: float, results: tuple) -> None:
    """Gradients of SE's logits (N, C), hidden units (N, C / r) and inputs (N, C)."""
    _start(triton_coefficients.se_gate_backward_kernel, (len(gate),), gate, gate_grad, gate, hidden,
           weight1, weight2, *results, gate.size(1), len(weight1), top, **_se_tile(weight1))
