"""Training curves and results of several runs on one page."""
import difflib
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eca_mm.utils.errors import UserError
from eca_mm.utils.listing import some

from .runs import Run
from .style import FILLS, HATCHES, line_styles, paper_style

# The paper's names, and mmdet's behind coco/<kind>_.
METRICS = {'AP': 'mAP', 'AP50': 'mAP_50', 'AP75': 'mAP_75', 'APS': 'mAP_s', 'APM': 'mAP_m',
           'APL': 'mAP_l'}
KINDS = {'bbox': 'boxes', 'segm': 'masks'}
# Results of runs that are not evaluated as COCO does, by the names that were logged.
OTHER = 'metrics'
_COLUMNS = 3


def validation_results(runs: dict[str, Run], best: bool = False) -> dict[str, dict[str, dict]]:
    """Metrics of the last validation of every run, or of its best one.

    Args:
        runs (dict[str, Run]): The runs by label.
        best (bool): Whether to take the validation with the highest AP or, where none was logged,
            with the highest first metric that is not a loss. Defaults to False.

    Returns:
        dict[str, dict[str, dict[str, float | None]]]: As :func:`coco_results` gives them if a run
        has COCO AP; else, under :data:`OTHER`, by label and logged name, such as
        ``accuracy/top1``, as they were logged; None what a run has not.

    Raises:
        UserError: If a run was not validated, or runs have no metric in common.
    """
    every = {label: run.metrics() for label, run in runs.items()}
    if not all(every.values()) or any(name.startswith('coco/') for names in every.values()
                                      for name in names):
        return coco_results(runs, best)
    if not set.intersection(*map(set, every.values())):
        each = '; '.join(f'{label}: {some(names)}' for label, names in every.items())
        raise UserError(f'The runs have no metric in common ({each}); compare those that were '
                        'evaluated alike, or draw curves of one value by --scalars.')
    names = list(dict.fromkeys(name for found in every.values() for name in found))
    results = {}
    for label, run in runs.items():
        first = next((name for name in every[label] if 'loss' not in name), every[label][0])
        having = [record for record in run.validations if first in record]
        record = max(having, key=lambda found: found[first]) if best else having[-1]
        results[label] = {name: record.get(name) for name in names}
    return {OTHER: results}


def check_scalars(runs: dict[str, Run], names: Sequence[str]) -> list[str]:
    """Make sure that the values to draw were logged.

    Args:
        runs (dict[str, Run]): The runs by label.
        names (Sequence[str]): Names as :meth:`Run.series` takes them.

    Returns:
        list[str]: A sentence for each value that some of the runs lack.

    Raises:
        UserError: If no run has logged one of them, with the nearest names.
    """
    known = list(dict.fromkeys(name for run in runs.values() for name in run.names()))
    notes = []
    for name in names:
        lacking = [label for label, run in runs.items() if not run.series(name)[0]]
        if len(lacking) == len(runs):
            near = difflib.get_close_matches(name, known, 3, cutoff=.4)
            raise UserError(f'No run has logged {name!r}; ' + (
                f'the nearest names are {", ".join(near)}.' if near else
                f'there are {some(known, 20)}.'))
        if lacking:
            notes.append(f'{name} was not logged in {some(lacking)}.')
    return notes


def coco_results(runs: dict[str, Run], best: bool = False) -> dict[str, dict[str, dict]]:
    """COCO metrics of the last validation of every run, or of that with the highest AP.

    Args:
        runs (dict[str, Run]): The runs by label.
        best (bool): Whether to take the validation with the highest AP of the boxes, or of the
            masks in a run without boxes. Defaults to False.

    Returns:
        dict[str, dict[str, dict[str, float | None]]]: By ``'bbox'`` or ``'segm'``, label and
        metric (:data:`METRICS`), in percent; None where COCO has no objects of that size. Kinds
        that no run has are left out, and so are runs without the kind.

    Raises:
        UserError: If a run has no COCO AP.
    """
    results: dict[str, dict[str, dict[str, float | None]]] = {}
    for label, run in runs.items():
        keys = [f'coco/{kind}_mAP' for kind in KINDS]
        having = [r for r in run.validations if any(key in r for key in keys)]
        if not having:
            there = sorted({key for r in run.validations for key in r if '/' in key})
            raise UserError(f'Run {run.path} has no COCO AP in its scalars.json: ' + (
                f'its validations logged {", ".join(there)}.' if there else
                'it was not validated while it trained; give its config a val_dataloader, a '
                'val_cfg and a val_evaluator of type CocoMetric.'))
        record = max(having, key=lambda r: [r.get(key, -1) for key in keys]) if best else having[-1]
        for kind in KINDS:
            if f'coco/{kind}_mAP' in record:
                values = {name: record.get(f'coco/{kind}_{key}') for name, key in METRICS.items()}
                results.setdefault(kind, {})[label] = {
                    name: 100 * value if value is not None and value >= 0 else None
                    for name, value in values.items()}
    return results


def differing_ends(runs: dict[str, Run]) -> list[str]:
    """Warn of a comparison of runs that are not equally long.

    Args:
        runs (dict[str, Run]): The runs by label, all with validations.

    Returns:
        list[str]: A sentence, or nothing if the last validation of all is at the same iteration.
    """
    ends = {label: run.validations[-1]['step'] for label, run in runs.items() if run.validations}
    if len(set(ends.values())) < 2:
        return []
    each = ', '.join(f'{label} {end}' for label, end in ends.items())
    return [f'The runs are not equally long; iteration of the last validation: {each}.']


def draw_comparison(runs: dict[str, Run], results: dict[str, dict[str, dict]],
                    scalars: Sequence[str] = ()) -> Figure:
    """Draw loss, learning rate and the first metric over the iterations, and metrics as bars.

    Args:
        runs (dict[str, Run]): The runs by label.
        results (dict): As :func:`validation_results` gives them; may be empty.
        scalars (Sequence[str]): Further logged values to draw over the iterations.

    Returns:
        Figure: The page: a row of curves, rows of the further ones, three in each, and a row of
        bars for boxes and one for masks, or one for other metrics.
    """
    more = -(-len(scalars) // _COLUMNS)
    with paper_style():
        figure = Figure(figsize=(7.4, 2.5 + 2 * (more + len(results))), layout='constrained')
        grid = figure.add_gridspec(1 + more + len(results), _COLUMNS)
        styles = dict(zip(runs, line_styles(len(runs)), strict=True))
        _draw_losses(figure.add_subplot(grid[0, 0]), runs, styles)
        _draw_scalar(figure.add_subplot(grid[0, 1]), runs, styles, 'lr', 'learning rate')
        if OTHER in results:
            names = list(next(iter(results[OTHER].values())))
            name = next((name for name in names if 'loss' not in name), names[0])
            _draw_scalar(figure.add_subplot(grid[0, 2]), runs, styles, name)
        elif results:
            _draw_ap(figure.add_subplot(grid[0, 2]), runs, styles, list(results))
        for index, name in enumerate(scalars):
            place = grid[1 + index // _COLUMNS, index % _COLUMNS]
            _draw_scalar(figure.add_subplot(place), runs, styles, name)
        for row, (kind, rows) in enumerate(results.items(), 1 + more):
            _draw_bars(figure.add_subplot(grid[row, :]), kind, rows, list(runs))
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc='outside upper center', ncols=min(4, len(labels)),
                      handlelength=3)
    return figure


def _draw_scalar(ax: Axes, runs: dict[str, Run], styles: dict, name: str,
                 label: str | None = None) -> None:
    for key, run in runs.items():
        steps, values = run.series(name)
        # Validations are few: their places are marked.
        marker = styles[key]['marker'] if len(values) <= len(run.validations) else None
        ax.plot(steps, values, marker=marker, markersize=4, **_line(styles[key]))
    ax.set(xlabel='iteration', ylabel=label or name)
    if name == 'lr':
        ax.set_ylim(0, None)
    ax.ticklabel_format(axis='y', scilimits=(-2, 4))


def _line(style: dict) -> dict:
    return dict(color=style['color'], linestyle=style['linestyle'])


def _draw_losses(ax: Axes, runs: dict[str, Run], styles: dict) -> None:
    for label, run in runs.items():
        steps, values = run.series('loss')
        ax.plot(steps, values, color=styles[label]['color'], alpha=.25, linewidth=.8)
        # Single batches are noisy: the eye follows the mean over a twentieth of the records.
        width = max(1, len(values) // 20)
        smooth = np.convolve(values, np.ones(width) / width, 'valid') if values else np.empty(0)
        ax.plot(steps[width - 1:], smooth, label=label, **_line(styles[label]))
    ax.set(xlabel='iteration', ylabel='loss')


def _draw_ap(ax: Axes, runs: dict[str, Run], styles: dict, kinds: list[str]) -> None:
    for label, run in runs.items():
        for i, kind in enumerate(kinds):
            steps, values = run.series(f'coco/{kind}_mAP')
            ax.plot(steps, 100 * np.maximum(values, 0), **_line(styles[label]), markersize=4,
                    marker=styles[label]['marker'], markerfacecolor='white' if i else None)
    if len(kinds) > 1:
        ax.set_title('boxes filled, masks open', pad=3)
    ax.set(xlabel='iteration', ylabel='AP, %', ylim=(0, None))


def _draw_bars(ax: Axes, kind: str, rows: dict[str, dict], labels: list[str]) -> None:
    width = .8 / len(labels)
    names = list(METRICS) if kind in KINDS else list(next(iter(rows.values())))
    for i, label in enumerate(labels):
        values = rows.get(label, {})
        places = np.arange(len(names)) + (i - (len(labels) - 1) / 2) * width
        heights = [values.get(name) for name in names]
        bars = ax.bar(places, [height or 0 for height in heights], .92 * width,
                      color=FILLS[i % len(FILLS)], hatch=HATCHES[i % len(HATCHES)],
                      edgecolor='white', linewidth=0)
        ax.bar_label(bars, ['-' if height is None else number(height) for height in heights],
                     fontsize=6 if len(labels) < 5 else 5, padding=1)
    ax.set_xticks(range(len(names)), names, fontsize=None if len(names) <= len(METRICS) else 5)
    ax.set_ylabel(f'AP of {KINDS[kind]}, %' if kind in KINDS else 'metrics of the validation')
    ax.grid(False, axis='x')
    ax.margins(y=.12)


def number(value: float) -> str:
    """A metric in few digits, in percent or as a fraction.

    Args:
        value (float): The metric.

    Returns:
        str: With one digit after the point, or three for a value below 1.
    """
    return f'{value:.3f}' if 0 < abs(value) < 1 else f'{value:.1f}'
