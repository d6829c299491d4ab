"""The inference form beside the form that is trained, for many sizes, batches and threads."""
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch

from eca_mm.utils.errors import UserError

from .networks import WeightPool, build_entry, parse_entry
from .report import Bar, Report
from .steps import Settings, Step
from .timing import time_in_turns

BATCHES = (1, 2, 4, 8, 16, 32)
SHAPES = ((224, 224), (320, 320), (800, 1344))
# Beyond it, a batch of a detector's images would need more memory than most machines have.
MOST_PIXELS = 4 * 800 * 1344


def grid_cells(settings: Settings) -> list[Settings]:
    """List the batches and sizes of a grid.

    Args:
        settings (Settings): A batch of 0 stands for all of ``BATCHES``, a shape of (0, 0) for all
            of ``SHAPES``.

    Returns:
        list[Settings]: One for each cell, smaller ones first. Where both stand for all, those of
        more than ``MOST_PIXELS`` are left out.
    """
    cells = [replace(settings, batch=batch, shape=shape)
             for shape in (SHAPES if settings.shape == (0, 0) else (settings.shape, ))
             for batch in ((settings.batch, ) if settings.batch else BATCHES)]
    if settings.batch and settings.shape != (0, 0):
        return cells
    return [c for c in cells if c.batch * c.shape[0] * c.shape[1] <= MOST_PIXELS]


def measure_grid(models: list[str] | None, settings: Settings,
                 progress: Callable[[list], Iterable] = iter, **timing: Any) -> Report:
    """Compare inference forms with the forms that are trained.

    Every cell is measured with one thread and with as many as PyTorch is set to.

    Args:
        models (list[str] | None): Networks of ours, as in ``NETWORKS``; None for ECA-ResNet-50.
        settings (Settings): Their batch and shape, see :func:`grid_cells`, format and types.
        progress (Callable): Given the cells, shows how far the measurement is.
        **timing: Further arguments of :func:`~eca_mm.benchmark.timing.time_in_turns`.

    Returns:
        Report: The throughput of the inference form beside that of the other, by network, size,
        batch and threads.

    Raises:
        UserError: If a network has no inference form of ours.
    """
    settings.check()
    pairs = {}
    for name in models or ['eca_resnet50']:
        if name.endswith('_fused') or name.startswith('timm_'):
            raise UserError(f'The grid compares two forms of a network and takes its bare name, '
                            f'such as eca_resnet50, but got {name}.')
        separator = ':' if name.endswith(('.py', '.yml', '.yaml', '.json')) else '_'
        pairs[name] = [parse_entry(text, False) for text in (name, f'{name}{separator}fused')]
    threads = torch.get_num_threads()
    cells: list[dict] = []
    try:
        for name, pair in pairs.items():
            pool = WeightPool()
            networks = [build_entry(entry, pool, settings.all_levels) for entry in pair]
            for cell in progress(grid_cells(settings)):
                steps = dict(zip(('trained', 'fused'), (Step(n, cell) for n in networks),
                                 strict=True))
                for count in sorted({1, threads}):
                    torch.set_num_threads(count)
                    found = time_in_turns(steps, torch.device(cell.device), **timing)
                    ratio, *quartiles = found['fused'].speed_beside(found['trained'])
                    cells.append(dict(
                        network=name, shape=cell.shape, batch=cell.batch, threads=count,
                        seconds={form: time.median for form, time in found.items()},
                        ratio=ratio, ratio_quartiles=quartiles))
    finally:
        torch.set_num_threads(threads)
    return _report(cells, settings)


def _report(cells: list[dict], settings: Settings) -> Report:
    rows: list[list[str]] = []
    bars: dict[str, dict[str, Bar]] = {}
    for cell in cells:
        size = ' x '.join(map(str, cell['shape']))
        rows.append([cell['network'], size, str(cell['batch']), str(cell['threads']),
                     *(f'{1e3 * seconds:.1f}' for seconds in cell['seconds'].values()),
                     f'{cell["ratio"]:.3f}'])
        bars.setdefault(f'{cell["threads"]} threads', {})[
            f'{cell["network"]}, {cell["batch"]} x {size}'] = (cell['ratio'],
                                                               *cell['ratio_quartiles'])
    worst = min(cells, key=lambda cell: cell['ratio'])
    note = (f'Least: {worst["ratio"]:.3f}, for {worst["batch"]} images of '
            f'{worst["shape"][0]} x {worst["shape"][1]} with {worst["threads"]} threads.')
    return Report(dict(cells=cells, settings=settings.as_dict()),
                  ['', 'H x W', 'images', 'threads', 'as trained, ms', 'fused, ms', 'ratio'],
                  rows, 'throughput of the inference form beside the form as trained', bars, note)
