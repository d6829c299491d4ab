"""How many events a second become voxel grids."""
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from eca_mm.events import Events, voxel_grid
from eca_mm.utils.errors import UserError

from .report import Bar, Report
from .steps import Settings
from .timing import time_in_turns

BINS, WINDOW_US = 5, 50_000


def draw_events(count: int, height: int, width: int, rectified: bool = False, seed: int = 0
                ) -> Events:
    """Draw a window of events anywhere on the sensor, in the types of a recording.

    Args:
        count (int): Number of events.
        height (int): Rows of the sensor.
        width (int): Columns of the sensor.
        rectified (bool): Whether they lie between pixels. Defaults to False.
        seed (int): Seed of the generator. Defaults to 0.

    Returns:
        Events: Sorted by time.
    """
    rng = np.random.default_rng(seed)
    x, y = (rng.uniform(0, size - 1, count).astype(np.float32) if rectified
            else rng.integers(0, size, count).astype(np.uint16) for size in (width, height))
    return Events(x, y, np.sort(rng.integers(0, WINDOW_US, count)),
                  rng.integers(0, 2, count).astype(np.uint8))


def _numpy_step(events: Events, shape: tuple[int, int], device: torch.device
                ) -> Callable[[], object]:
    return lambda: voxel_grid(events.x, events.y, events.t, events.polarity, BINS, *shape)


def _torch_step(events: Events, shape: tuple[int, int], device: torch.device
                ) -> Callable[[], object]:
    # PyTorch 2.1 has no uint16.
    x, y, t, polarity = (
        torch.from_numpy(value.astype(np.int32) if value.dtype == np.uint16 else value).to(device)
        for value in (events.x, events.y, events.t, events.polarity))
    return lambda: voxel_grid(x, y, t, polarity, BINS, *shape)


ENTRIES = {'numpy': (_numpy_step, False), 'numpy_rectified': (_numpy_step, True),
           'torch': (_torch_step, False), 'torch_rectified': (_torch_step, True)}


def measure_event_grids(names: list[str] | None, settings: Settings, **timing: Any) -> Report:
    """Time voxel grids of five bins.

    Args:
        names (list[str] | None): Keys of ``ENTRIES``; None for all. ``rectified`` events lie
            between pixels.
        settings (Settings): Size of the sensor, device of PyTorch's grids, and as its batch
            the millions of events of the window.
        **timing: Arguments of :func:`~eca_mm.benchmark.timing.time_in_turns`.

    Returns:
        Report: For each entry the median time and the events per second of it.

    Raises:
        UserError: If a name is unknown, or there is no such device.
    """
    settings.check()
    unknown = sorted(set(names or ()) - ENTRIES.keys())
    if unknown:
        raise UserError(f'Unknown voxel grid {unknown[0]!r}; known are {", ".join(ENTRIES)}.')
    device, count = torch.device(settings.device), settings.batch * 10**6
    steps = {}
    for name in names or ENTRIES:
        make, rectified = ENTRIES[name]
        steps[name] = make(draw_events(count, *settings.shape, rectified), settings.shape, device)
    timings = time_in_turns(steps, device, **timing)
    rates: dict[str, Bar] = {
        name: (count / found.median / 1e6, count / found.quartiles[1] / 1e6,
               count / found.quartiles[0] / 1e6) for name, found in timings.items()}
    figures = dict(
        events=count, bins=BINS, shape=list(settings.shape), device=str(device),
        threads=torch.get_num_threads(),
        seconds={name: found.median for name, found in timings.items()},
        million_events_per_second={name: rate[0] for name, rate in rates.items()})
    rows = [[name, f'{1e3 * timings[name].median:.1f}', f'{rate[0]:.1f}',
             f'{rate[1]:.1f} - {rate[2]:.1f}'] for name, rate in rates.items()]
    return Report(figures, ['', 'ms', 'million events/s', 'its quartiles'], rows,
                  'million events per second', {'voxel grids': dict(rates)})
