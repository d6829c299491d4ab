"""How far a ResNet's stages are from what memory and arithmetic allow.

A stage cannot be faster than its convolutions one after the other, each of which has to read its
input and weights, to write its output, and to do its multiply-adds. Normalisation, ReLU and
attention can ride on the writing; the shortcut has to be read once more. Maps are taken not to fit
into the cache, so that small ones may beat the limit of memory.
"""
import re
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from eca_mm.utils.errors import UserError

from .networks import NETWORKS, BenchmarkEntry, WeightPool, build_entry
from .report import Report
from .steps import DTYPES, MEMORY_FORMATS, Settings
from .timing import synchronize, time_in_turns

STAGES = ('layer1', 'layer2', 'layer3', 'layer4')


def measure_rates(settings: Settings, size: int = 2**26, side: int = 2048,
                  seconds: float = 1.) -> tuple[float, float]:
    """Measure the machine's bandwidth and arithmetic rate.

    Args:
        settings (Settings): Device and type of numbers.
        size (int): Number of elements to add for the bandwidth. Defaults to 2^26.
        side (int): Side of the square matrices to multiply. Defaults to 2048.
        seconds (float): How long to try either. Defaults to 1.

    Returns:
        tuple[float, float]: Bytes per second of an addition of two arrays into a third, and
        multiply-adds per second of a matrix product; the best of all tries.
    """
    options = dict(dtype=DTYPES[settings.dtype], device=settings.device)
    a, b, c = (torch.ones(size, **options) for _ in range(3))
    bandwidth = 3 * a.nbytes / _best(lambda: torch.add(a, b, out=c), a.device, seconds)
    x, y, z = (torch.ones(side, side, **options) for _ in range(3))
    return bandwidth, side**3 / _best(lambda: torch.mm(x, y, out=z), a.device, seconds)


def _best(step: Callable[[], object], device: torch.device, seconds: float) -> float:
    best, end = float('inf'), time.perf_counter() + seconds
    step()
    while time.perf_counter() < end or best == float('inf'):
        synchronize(device)
        start = time.perf_counter()
        step()
        synchronize(device)
        best = min(best, time.perf_counter() - start)
    return best


def measure_roofline(names: list[str] | None, settings: Settings,
                     rates: tuple[float, float] | None = None, **timing) -> Report:
    """Time the stages of a ResNet with and without attention, as inference forms.

    Args:
        names (list[str] | None): The one network, e.g. ``'se_resnet101'``; None for ECA-ResNet-50.
        settings (Settings): How they are run.
        rates (tuple[float, float], optional): Bytes and multiply-adds per second. Measured when
            not given.
        **timing: Further arguments of :func:`~eca_mm.benchmark.timing.time_in_turns`.

    Returns:
        Report: For each stage the bytes that have to move, the multiply-adds, the limit, the times
        and the share of the limit in the time.

    Raises:
        UserError: If it is not a ResNet with an attention.
    """
    name, *more = [name.removesuffix('_fused') for name in names or ('eca_resnet50', )]
    if more or not re.fullmatch(r'(eca|se)_resnet\d+', name) or name not in NETWORKS:
        raise UserError('The roofline is that of one ResNet with attention, such as eca_resnet50 '
                        f'or se_resnet101, not of {" and ".join(names or ())}.')
    settings.check()
    rates, pool = rates or measure_rates(settings), WeightPool()
    to = dict(device=settings.device, dtype=DTYPES[settings.dtype],
              memory_format=MEMORY_FORMATS[settings.memory_format])
    entries = (BenchmarkEntry(name, name, 'fused').reference(training=False),
                  BenchmarkEntry(name, name, 'fused'))
    nets = {kind: build_entry(entry, pool).backbone.to(**to)
            for kind, entry in zip(('plain', 'attention'), entries, strict=True)}
    images = torch.randn(settings.batch, 3, *settings.shape).to(**to)
    # Each network's own, for the inference form has chosen a memory format for itself.
    inputs = {kind: _stage_input(net, images) for kind, net in nets.items()}
    figures: dict[str, Any] = dict(
        bytes_per_second=rates[0], multiply_adds_per_second=rates[1], stages={},
        settings=settings.as_dict())
    for name in STAGES:
        stages = {kind: getattr(net, name) for kind, net in nets.items()}
        moved, macs, limit = _limit(stages['plain'], inputs['plain'], rates)
        timings = time_in_turns({kind: _step(stage, inputs[kind])
                                 for kind, stage in stages.items()}, images.device, **timing)
        figures['stages'][name] = dict(
            bytes=moved, multiply_adds=macs, limit_seconds=limit,
            **{f'{kind}_seconds': time.median for kind, time in timings.items()})
        inputs = {kind: _step(stage, inputs[kind])() for kind, stage in stages.items()}
    rows: list[list[str]] = []
    bars: dict[str, dict] = {'plain': {}, 'with attention': {}}
    for name, stage in figures['stages'].items():
        shares = [stage['limit_seconds'] / stage[f'{kind}_seconds'] for kind in nets]
        for series, share in zip(bars.values(), shares, strict=True):
            series[name] = share, share, share
        rows.append([name, f'{stage["bytes"] / 1e6:.0f}', f'{stage["multiply_adds"] / 1e9:.2f}',
                     *(f'{1e3 * stage[key]:.1f}' for key in (
                         'limit_seconds', 'plain_seconds', 'attention_seconds')),
                     *(f'{share:.2f}' for share in shares)])
    header = ['', 'MB', 'G multiply-adds', 'limit, ms', 'plain, ms', 'with attention, ms',
              'limit / plain', 'limit / with attention']
    return Report(figures, header, rows, 'limit / time', bars,
                  f'Memory: {rates[0] / 1e9:.1f} GB/s. Arithmetic: {rates[1] / 1e9:.1f} G '
                  'multiply-adds/s.')


def _stage_input(net: nn.Module, images: Tensor) -> Tensor:
    """The input of the first stage of a ResNet."""
    seen = []
    handle = net.layer1.register_forward_pre_hook(lambda module, inputs: seen.extend(inputs))
    _step(net, images)()
    handle.remove()
    return seen[0].clone()


def _step(stage: nn.Module, x: Tensor) -> Callable[[], Tensor]:

    def step() -> Tensor:
        with torch.no_grad():
            return stage(x)

    return step


def _limit(stage: nn.Module, x: Tensor, rates: tuple[float, float]) -> tuple[int, int, float]:
    """Bytes, multiply-adds and least seconds of a plain stage without normalisations."""
    costs = []

    def count(conv: nn.Conv2d, inputs: tuple[Tensor], out: Tensor) -> None:
        moved = sum(t.nbytes for t in (*inputs, out, *conv.parameters()))
        costs.append((moved, out.numel() * conv.weight[0].numel()))

    def shortcut(block: nn.Module, inputs: tuple[Tensor], out: Tensor) -> None:
        costs.append((out.nbytes, 0))

    convs = [module for module in stage.modules() if isinstance(module, nn.Conv2d)]
    handles = [module.register_forward_hook(count) for module in convs]
    handles += [block.register_forward_hook(shortcut) for block in stage]
    _step(stage, x)()
    for handle in handles:
        handle.remove()
    moved, macs = (sum(column) for column in zip(*costs, strict=True))
    return moved, macs, sum(max(m / rates[0], n / rates[1]) for m, n in costs)
