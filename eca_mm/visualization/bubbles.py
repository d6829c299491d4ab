"""The paper's Figure 1: accuracy against parameters, FLOPs as the area of a bubble."""
import re
from dataclasses import dataclass
from functools import cache

import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from modelindex.load_model_index import load

from eca_mm.analysis import build_model, measure_complexity
from eca_mm.analysis.paper_tables import input_shape, load_figures
from eca_mm.compat.hub import FOLDER
from eca_mm.utils.errors import UserError

from .runs import Run
from .style import FILLS, HATCHES, paper_style

# A bubble of one G multiply-adds, in square points.
_AREA = 55


@dataclass(frozen=True)
class Bubble:
    """One model.

    Attributes:
        family (str): What it is drawn as, e.g. ``'ECA-Net'``.
        backbone (str): Which size of it, e.g. ``'ResNet-50'``; written beside the bubble.
        params (int): Number of parameters.
        flops (int): Multiply-adds of one image.
        accuracy (float): Top-1 accuracy in percent.
        source (str): Where the accuracy is from.
    """

    family: str
    backbone: str
    params: int
    flops: int
    accuracy: float
    source: str


@cache
def _costs() -> dict[str, tuple[int, int]]:
    """Parameters and multiply-adds by config, which the metafiles hold and a test recomputes."""
    return {model.config.removeprefix('configs/').removesuffix('.py'):
            (model.metadata.parameters, model.metadata.flops)
            for model in load(str(FOLDER / 'model-index.yml')).models}


def paper_bubbles(backbones: list[str]) -> list[Bubble]:
    """The models of the paper's Tables 3 and 7.

    Args:
        backbones (list[str]): Which sizes, e.g. ``'ResNet-50'``, ``'MobileNetV2'``.

    Returns:
        list[Bubble]: With the paper's accuracies; parameters and FLOPs are those of our models.

    Raises:
        UserError: If the tables have no such backbone.
    """
    figures = load_figures()
    bubbles = []
    for table in ('table3', 'table7'):
        for name, row in figures[table]['rows'].items():
            # Table 7 has the short names.
            backbone, _, family = re.sub('^R-', 'ResNet-', name).partition('/')
            bubbles.append(Bubble(family, backbone, *_costs()[row['config']], row['top1'],
                                  f'Table {table[-1]}'))
    known = list(dict.fromkeys(bubble.backbone for bubble in bubbles))
    for backbone in backbones:
        if backbone not in known:
            raise UserError(f'The paper has no backbone {backbone!r}; choose from '
                            f'{", ".join(known)}.')
    return [bubble for bubble in bubbles if bubble.backbone in backbones]


def run_bubble(run: Run, label: str, best: bool = False) -> Bubble:
    """A training run of a classifier.

    Args:
        run (Run): The run; its model is built and measured at the crop that it is tested with.
        label (str): Its name.
        best (bool): Whether to take the best validation. Defaults to False: the last.

    Returns:
        Bubble: The model.

    Raises:
        UserError: If it logged no ``accuracy/top1``.
    """
    accuracy = run.result('accuracy/top1', best)
    config = run.config
    try:
        shape = input_shape(config)
    except ValueError:
        # Without one crop in its pipeline: the paper's size.
        shape = (224, 224)
    cost = measure_complexity(build_model(config), shape)
    return Bubble(label, '', cost.params, cost.flops, accuracy, str(run.path))


def draw_bubbles(bubbles: list[Bubble]) -> Figure:
    """Draw the models, those of a family in one colour and joined in order of their size.

    Args:
        bubbles (list[Bubble]): The models.

    Returns:
        Figure: The picture.
    """
    families: dict[str, list[Bubble]] = {}
    for bubble in bubbles:
        families.setdefault(bubble.family, []).append(bubble)
    with paper_style():
        figure = Figure(figsize=(5.6, 3.9), layout='constrained')
        ax = figure.subplots()
        # The paper's own first: it has the same look whatever it is compared with.
        for i, family in enumerate(sorted(families, key=lambda name: name != 'ECA-Net')):
            members = sorted(families[family], key=lambda bubble: bubble.params)
            x = [bubble.params / 1e6 for bubble in members]
            y = [bubble.accuracy for bubble in members]
            colour = FILLS[i % len(FILLS)]
            ax.plot(x, y, color=colour, linewidth=.8, zorder=2)
            for j, bubble in enumerate(members):
                # Small ones in front of large ones.
                ax.scatter(x[j], y[j], s=_AREA * bubble.flops / 1e9, color=colour, alpha=.65,
                           edgecolor='black', linewidth=.6, label=None if j else family,
                           hatch=2 * HATCHES[i % len(HATCHES)], zorder=4 - bubble.flops / 1e12)
            ax.scatter(x, y, s=3, color='black', zorder=5)
        for backbone in dict.fromkeys(b.backbone for b in bubbles if b.backbone):
            top = max((b for b in bubbles if b.backbone == backbone), key=lambda b: b.accuracy)
            radius = np.sqrt(_AREA * top.flops / 1e9 / np.pi)
            ax.annotate(backbone, (top.params / 1e6, top.accuracy), (0, radius + 3),
                        textcoords='offset points', ha='center', fontsize=7,
                        path_effects=[withStroke(linewidth=2, foreground='white')])
        ax.set(xlabel='parameters, M', ylabel='top-1 accuracy, %')
        ax.margins(.12)
        legend = figure.legend(loc='outside right upper', labelspacing=.8)
        for handle in legend.legend_handles:
            if isinstance(handle, PathCollection):
                handle.set_sizes([60])
        _draw_scale(figure, max(bubble.flops for bubble in bubbles))
    return figure


def _draw_scale(figure: Figure, largest: int) -> None:
    """A second legend: bubbles of round FLOPs."""
    unit = 10.0**np.floor(np.log10(largest / 1e9))
    steps = [step * unit for step in (.2, 1, 2, 5) if step * unit <= 1.2 * largest / 1e9][-3:]
    handles = [figure.axes[0].scatter([], [], s=_AREA * step, facecolor='none', edgecolor='black',
                                      linewidth=.6) for step in steps]
    figure.legend(handles, [f'{step:g} G' for step in steps], loc='outside right lower',
                  title='multiply-adds', labelspacing=1.6, handletextpad=1.2, borderpad=1.2)
