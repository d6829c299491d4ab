"""How the time of every attention grows with the batch, the channels and the map."""
import itertools
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn

from eca_mm.layers import (
    CBAM,
    AAConv2d,
    DoubleAttention,
    ECALayer,
    ECANSLayer,
    GCBlock,
    GELayer,
    GSoPLayer,
    NonLocalBlock,
    SEGCLayer,
    SELayer,
    SEVar1Layer,
    SEVar2Layer,
    SEVar3Layer,
)
from eca_mm.utils.errors import UserError

from .report import Report
from .steps import DTYPES, MEMORY_FORMATS, Settings
from .timing import time_in_turns

ATTENTIONS: dict[str, Callable[[int, tuple[int, int]], nn.Module]] = {
    'none (a copy)': lambda c, size: _Copy(),
    'ECA': lambda c, size: ECALayer(c),
    'ECA-NS': lambda c, size: ECANSLayer(c),
    'SE': lambda c, size: SELayer(c),
    'SE-Var1': lambda c, size: SEVar1Layer(c),
    'SE-Var2': lambda c, size: SEVar2Layer(c),
    'SE-Var3': lambda c, size: SEVar3Layer(c),
    'SE-GC': lambda c, size: SEGCLayer(c, groups=16),
    'CBAM': lambda c, size: CBAM(c),
    'GC': lambda c, size: GCBlock(c),
    'GE-theta-': lambda c, size: GELayer(c, 'theta-'),
    'GE-theta': lambda c, size: GELayer(c, 'theta', map_size=size),
    'GE-theta+': lambda c, size: GELayer(c, 'theta+', map_size=size),
    'A2': lambda c, size: DoubleAttention(c),
    'GSoP': lambda c, size: GSoPLayer(c, cov_channels=min(64, c)),
    'AA': lambda c, size: AAConv2d(c, c, map_size=size),
    'NL': lambda c, size: NonLocalBlock(c),
}
# Their matrices of (H W)^2 weights would not fit into memory; they start smaller.
_POSITION_BY_POSITION = ('AA', 'NL')
AXES = ('N', 'C', 'H', 'W')


class _Copy(nn.Module):
    """The least that a layer can do: read the map and write one."""

    def forward(self, x: Tensor) -> Tensor:
        return x.clone()


def measure_scaling(names: list[str] | None, settings: Settings, channels: int = 64,
                    doublings: int = 2,
                    progress: Callable[[list[str]], Iterable[str]] = iter, **timing) -> Report:
    """Time attentions on a map and on larger ones.

    Args:
        names (list[str] | None): Keys of ``ATTENTIONS``; None for all.
        settings (Settings): Batch and map size to start from (a quarter of the batch and half the
            sides for AA and NL), device, types.
        channels (int): Channels to start from. Defaults to 64.
        doublings (int): How often each of N, C, H, W is doubled. Defaults to 2.
        progress (Callable): Given the names, shows how far the measurement is.
        **timing: Further arguments of :func:`~eca_mm.benchmark.timing.time_in_turns`.

    Returns:
        Report: For each attention the time at the start (the best of all rounds) and the exponents
        of its growth with N, C, H and W: 1 is linear.

    Raises:
        UserError: If there is no such attention.
    """
    unknown = sorted(set(names or ()) - set(ATTENTIONS))
    if unknown:
        raise UserError(f'There is no attention {unknown[0]!r}; choose from '
                        f'{", ".join(ATTENTIONS)}.')
    settings.check()
    starts, times, exponents = {}, {}, {}
    for name in progress(names or list(ATTENTIONS)):
        start = starts[name] = _start(name, settings, channels)
        shapes = {start: None} | {_doubled(start, axis, k): None for axis, k in
                                  itertools.product(range(4), range(1, doublings + 1))}
        steps = {str(shape): _step(name, shape, settings) for shape in shapes}
        measured = time_in_turns(steps, torch.device(settings.device), **timing)
        times[name] = measured[str(start)].best
        exponents[name] = {
            axis: _exponent([measured[str(_doubled(start, i, k))].best
                             for k in range(doublings + 1)]) for i, axis in enumerate(AXES)}
    figures = dict(seconds=times, exponents=exponents, start=starts, settings=settings.as_dict())
    rows = [[name, ' x '.join(map(str, starts[name])), f'{1e3 * times[name]:.2f}',
             *(f'{exponents[name][axis]:.2f}' for axis in AXES)] for name in times]
    bars = {axis: {name: (values[axis], ) * 3 for name, values in exponents.items()}
            for axis in AXES}
    header = ['', 'start, N x C x H x W', 'ms', *AXES]
    return Report(figures, header, rows, 'exponent of the growth of time (1: linear)', bars)


def _start(name: str, settings: Settings, channels: int) -> tuple[int, ...]:
    batch, (height, width) = settings.batch, settings.shape
    if name in _POSITION_BY_POSITION:
        batch, height, width = max(1, batch // 4), max(1, height // 2), max(1, width // 2)
    return batch, channels, height, width


def _doubled(shape: tuple[int, ...], axis: int, times: int) -> tuple[int, ...]:
    return tuple(n * 2**times if i == axis else n for i, n in enumerate(shape))


def _exponent(seconds: list[float]) -> float:
    """Slope of the line through the logarithms, per doubling."""
    return float(np.polyfit(range(len(seconds)), np.log2(seconds), 1)[0])


def _step(name: str, shape: tuple[int, ...], settings: Settings) -> Callable[[], Tensor]:
    options = dict(dtype=DTYPES[settings.dtype], device=settings.device)
    layer = ATTENTIONS[name](shape[1], (shape[2], shape[3])).to(**options)
    layer.eval()
    x = torch.randn(shape, **options).to(memory_format=MEMORY_FORMATS[settings.memory_format])

    def step() -> Tensor:
        with torch.no_grad():
            return layer(x)

    return step
