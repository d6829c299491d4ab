"""The paper's Figure 6: mean channel weights of every block, by class."""
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from eca_mm.utils.atomic_files import write_atomically
from eca_mm.utils.errors import UserError

from .class_statistics import ClassStatistics, Specificity
from .gates import gates_of
from .images import LabelledImages
from .style import COLOURS, DASHES, paper_style


@dataclass(frozen=True)
class ChannelWeights:
    """Channel weights of one model.

    Attributes:
        label (str): Name of the model, for the picture.
        classes (tuple[str, ...]): Names of the K classes.
        blocks (dict[str, ClassStatistics]): Statistics of every block.
    """

    label: str
    classes: tuple
    blocks: dict[str, ClassStatistics]

    def specificity(self) -> dict[str, Specificity]:
        """How class-specific every block's weights are."""
        return {name: block.specificity() for name, block in self.blocks.items()}


def collect_channel_weights(model: nn.Module, images: LabelledImages, label: str,
                            max_per_class: int | None = None) -> ChannelWeights:
    """Run a model over images and collect its channel weights.

    Args:
        model (nn.Module): A classifier or detector in evaluation mode.
        images (LabelledImages): The images.
        label (str): Name of the model, for the picture.
        max_per_class (int, optional): How many images of a class. Defaults to all.

    Returns:
        ChannelWeights: The weights.

    Raises:
        UserError: If the model has no channel attention, or there is no image.
    """
    blocks = {}
    for labels, inputs in images.batches(max_per_class):
        for name, (_, weights) in gates_of(model, inputs).items():
            if name not in blocks:
                blocks[name] = ClassStatistics(len(images.classes), weights.size(1))
            blocks[name].add(labels, weights.cpu().numpy())
    if not blocks:
        raise UserError('There is no image to run the model on.')
    return ChannelWeights(label, images.classes, blocks)


def write_arrays(models: list[ChannelWeights], path: str) -> None:
    """Write the figures behind the picture as a NumPy archive.

    It holds ``classes`` (K,), ``images`` (K,) with their number, ``models``, and for every model
    and block ``<model>/<block>/means`` (K, C), ``.../overall`` (C,), ``.../between`` (C,) and
    ``.../within`` (C,).

    Args:
        models (list[ChannelWeights]): One or more models on the same images.
        path (str): The ``.npz`` file.
    """
    first = models[0]
    arrays: dict[str, Any] = {
        'classes': np.array(first.classes), 'models': np.array([m.label for m in models]),
        'images': next(iter(first.blocks.values())).counts}
    for model in models:
        for name, block in model.blocks.items():
            between, within = block.variances()
            arrays.update({f'{model.label}/{name}/{key}': value for key, value in (
                ('means', block.means()), ('overall', block.overall()), ('between', between),
                ('within', within))})
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_atomically(buffer.getvalue(), path)


def draw_channel_weights(models: list[ChannelWeights], blocks: list[str],
                         chosen: dict[int, str], columns: int = 4) -> Figure:
    """Draw one cell per block and in it one plot per model, as the paper does.

    Args:
        models (list[ChannelWeights]): One or more models on the same images, from top to bottom.
        blocks (list[str]): Names of the blocks to draw.
        chosen (dict[int, str]): Index of every class to draw, and the name to show for it.
        columns (int): Number of cells side by side. Defaults to 4.

    Returns:
        Figure: The picture.
    """
    columns = min(columns, len(blocks))
    rows = -(-len(blocks) // columns)
    limits = _limits(models, blocks, chosen)
    with paper_style():
        height = rows * (.8 * len(models) + .5)
        figure = Figure(figsize=(2 * columns + .5, height + .3))
        grid = figure.add_gridspec(rows, columns, left=.45 / (2 * columns + .5), right=.99,
                                   bottom=.3 / (height + .3), top=1 - .5 / (height + .3),
                                   wspace=.1, hspace=.5 / (.8 * len(models)))
        for i, name in enumerate(blocks):
            axes = grid[i // columns, i % columns].subgridspec(len(models), 1, hspace=.12).subplots(
                squeeze=False)[:, 0]
            axes[0].set_title(name, pad=3)
            for ax, model in zip(axes, models, strict=True):
                _draw_block(ax, model.blocks.get(name), chosen)
                ax.set_ylim(limits)
                ax.tick_params(labelleft=i % columns == 0, labelbottom=ax is axes[-1])
                ax.text(.99, .04, model.label, transform=ax.transAxes, ha='right', va='bottom',
                        fontsize=7, bbox=dict(facecolor='white', edgecolor='none', alpha=.8, pad=1))
            if i % columns == 0:
                axes[-1].set_ylabel('weight', y=len(axes) / 2)
            if i + columns >= len(blocks):
                axes[-1].set_xlabel('channel')
        handles, names = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc='upper center', ncols=len(names), handlelength=2.8)
    return figure


def _draw_block(ax: Axes, block: ClassStatistics | None, chosen: dict[int, str]) -> None:
    if block is None:
        ax.text(.5, .5, 'no channel attention', transform=ax.transAxes, ha='center', va='center')
        return
    means = block.means()
    ax.plot(block.overall(), label=f'all {int((block.counts > 0).sum())} classes', color='.7',
            linewidth=2.2)
    for i, (index, name) in enumerate(chosen.items()):
        ax.plot(means[index], label=name, color=COLOURS[i % len(COLOURS)],
                linestyle=DASHES[i % len(DASHES)], linewidth=.8)
    ax.set_xlim(0, means.shape[1] - 1)
    ax.locator_params(axis='x', nbins=4, integer=True)
    ax.locator_params(axis='y', nbins=4)


def _limits(models: list[ChannelWeights], blocks: list[str],
            chosen: dict[int, str]) -> tuple[float, float]:
    """The same for all plots, so that they can be compared; rounded outwards to tenths."""
    drawn = [row for model in models for name in blocks if name in model.blocks
             for row in (*model.blocks[name].means()[list(chosen)], model.blocks[name].overall())]
    low, high = min(map(np.nanmin, drawn)), max(map(np.nanmax, drawn))
    return np.floor(low * 10) / 10, np.ceil(high * 10) / 10
