"""Training curves and COCO results of several runs on one page."""
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eca_mm.utils.errors import UserError

from .runs import Run
from .style import FILLS, HATCHES, line_styles, paper_style

# The paper's names, and mmdet's behind coco/<kind>_.
METRICS = {'AP': 'mAP', 'AP50': 'mAP_50', 'AP75': 'mAP_75', 'APS': 'mAP_s', 'APM': 'mAP_m',
           'APL': 'mAP_l'}
KINDS = {'bbox': 'boxes', 'segm': 'masks'}


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
    ends = {label: run.validations[-1]['step'] for label, run in runs.items()}
    if len(set(ends.values())) < 2:
        return []
    each = ', '.join(f'{label} {end}' for label, end in ends.items())
    return [f'The runs are not equally long; iteration of the last validation: {each}.']


def draw_comparison(runs: dict[str, Run], results: dict[str, dict[str, dict]]) -> Figure:
    """Draw loss, learning rate and AP over the iterations, and the metrics as bars.

    Args:
        runs (dict[str, Run]): The runs by label.
        results (dict): As :func:`coco_results` gives them.

    Returns:
        Figure: The page: a row of curves, and a row of bars for boxes and one for masks.
    """
    with paper_style():
        figure = Figure(figsize=(7.4, 2.5 + 2 * len(results)), layout='constrained')
        grid = figure.add_gridspec(1 + len(results), 3)
        styles = dict(zip(runs, line_styles(len(runs)), strict=True))
        _draw_losses(figure.add_subplot(grid[0, 0]), runs, styles)
        ax = figure.add_subplot(grid[0, 1])
        for label, run in runs.items():
            ax.plot(*run.series('lr'), **_line(styles[label]))
        ax.set(xlabel='iteration', ylabel='learning rate', ylim=(0, None))
        ax.ticklabel_format(axis='y', scilimits=(-2, 2))
        _draw_ap(figure.add_subplot(grid[0, 2]), runs, styles, list(results))
        for row, (kind, rows) in enumerate(results.items(), 1):
            _draw_bars(figure.add_subplot(grid[row, :]), kind, rows, list(runs))
        handles, names = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc='outside upper center', ncols=min(4, len(names)),
                      handlelength=3)
    return figure


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
    for i, label in enumerate(labels):
        values = rows.get(label, {})
        places = np.arange(len(METRICS)) + (i - (len(labels) - 1) / 2) * width
        heights = [values.get(name) for name in METRICS]
        bars = ax.bar(places, [height or 0 for height in heights], .92 * width,
                      color=FILLS[i % len(FILLS)], hatch=HATCHES[i % len(HATCHES)],
                      edgecolor='white', linewidth=0)
        ax.bar_label(bars, ['-' if height is None else f'{height:.1f}' for height in heights],
                     fontsize=6 if len(labels) < 5 else 5, padding=1)
    ax.set_xticks(range(len(METRICS)), METRICS)
    ax.set_ylabel(f'AP of {KINDS[kind]}, %')
    ax.grid(False, axis='x')
    ax.margins(y=.12)
