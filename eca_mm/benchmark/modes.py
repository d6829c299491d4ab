"""The modes of tools/analysis_tools/benchmark.py."""
from collections.abc import Callable
from typing import NamedTuple

from .comparison import DEFAULT_ENTRIES, compare
from .counting import measure_counts
from .event_grids import measure_event_grids
from .grid import measure_grid
from .networks import parse_entry
from .paper_speed import compare_with_paper
from .report import Report, comparison_report
from .roofline import measure_roofline
from .scaling import measure_scaling
from .steps import Settings


class Defaults(NamedTuple):
    """The default settings of a mode.

    Attributes:
        batch (int): Number of images; 0 for several.
        shape (tuple[int, int]): Their height and width in pixels (scaling: of the map); (0, 0) for
            several.
        min_time (float): See :func:`~eca_mm.benchmark.timing.time_in_turns`.
    """

    batch: int
    shape: tuple[int, int]
    min_time: float


MODES = {'infer': Defaults(16, (224, 224), 3.), 'train': Defaults(8, (224, 224), 3.),
         'detector': Defaults(1, (800, 1344), 3.), 'paper': Defaults(8, (224, 224), 3.),
         'scaling': Defaults(16, (56, 56), .3), 'roofline': Defaults(16, (224, 224), 1.),
         'count': Defaults(64, (224, 224), 0.), 'events': Defaults(1, (480, 640), 1.),
         'grid': Defaults(0, (0, 0), 1.)}


def run_mode(mode: str, models: list[str] | None, settings: Settings, **timing) -> Report:
    """Run one mode.

    Args:
        mode (str): A key of ``MODES``.
        models (list[str] | None): What to measure; None for the default ones.
        settings (Settings): How to run it.
        **timing: Arguments of :func:`~eca_mm.benchmark.timing.time_in_turns`.

    Returns:
        Report: What was found.

    Raises:
        UserError: If ``models`` names something that the mode does not have.
    """
    if mode == 'count':
        return measure_counts(models, settings)
    special: dict[str, Callable[..., Report]] = {
        'paper': compare_with_paper, 'scaling': measure_scaling, 'roofline': measure_roofline,
        'events': measure_event_grids, 'grid': measure_grid}
    if mode in special:
        return special[mode](models, settings, **timing)
    entries = [parse_entry(name, settings.training) for name in models or DEFAULT_ENTRIES[mode]]
    return comparison_report(compare(entries, settings, **timing))
