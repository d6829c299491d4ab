"""The averages that enter the attention, by image (the paper's first version, Appendix A1)."""
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mmengine.config import Config
from torch import nn

from .gates import choose, gates_of
from .images import read_image
from .periodicity import Periodicity, measure_periodicity
from .style import line_styles, paper_style


@dataclass(frozen=True)
class BlockAverages:
    """What enters the attention of one block of one model.

    Attributes:
        model (str): Label of the model.
        block (str): Name of the block.
        averages (np.ndarray): Channel-wise averages of N images, of shape (N, C).
        periodicity (list[Periodicity]): The result of the autocorrelation for each image.
    """

    model: str
    block: str
    averages: np.ndarray
    periodicity: list[Periodicity]

    @property
    def agreement(self) -> float:
        """Mean correlation between the averages of two images; nan for a single image."""
        if len(self.averages) < 2:
            return float('nan')
        table = np.corrcoef(self.averages)
        return float(table[np.triu_indices(len(table), 1)].mean())


def collect_averages(model: nn.Module, config: Config, label: str, paths: list[str],
                     blocks: list[str] | None = None) -> list[BlockAverages]:
    """Run a model over image files and collect what enters its attentions.

    Args:
        model (nn.Module): A classifier or detector in evaluation mode.
        config (Config): Its config, whose test pipeline prepares the images.
        label (str): Its name, for the picture.
        paths (list[str]): The images.
        blocks (list[str], optional): Names of the blocks. Defaults to four, evenly spread.

    Returns:
        list[BlockAverages]: One for each block.

    Raises:
        UserError: If an image cannot be read, or there is no such block.
    """
    passes = [gates_of(model, [read_image(config, path)]) for path in paths]
    names = list(passes[0])
    if blocks is None:
        spread = np.linspace(0, len(names) - 1, min(4, len(names))).round().astype(int)
        blocks = [names[i] for i in spread]
    result = []
    for name in choose(names, blocks):
        averages = np.stack([heard[name][0][0].cpu().numpy() for heard in passes])
        result.append(BlockAverages(label, name, averages, list(map(measure_periodicity,
                                                                    averages))))
    return result


def draw_averages(groups: list[BlockAverages], images: list[str]) -> Figure:
    """Draw a row for each block: the averages, and their autocorrelation.

    Args:
        groups (list[BlockAverages]): The blocks of one or more models.
        images (list[str]): Names of the images.

    Returns:
        Figure: The picture. The grey band holds 95 % of the autocorrelations of the same averages
        in random order, at each lag by itself; a ring marks a period that is significant at 5 %
        over all lags.
    """
    several = len({group.model for group in groups}) > 1
    height = 1.25 * len(groups)
    with paper_style():
        figure = Figure(figsize=(7.4, height + .7), layout='constrained')
        axes = figure.subplots(len(groups), 2, squeeze=False, width_ratios=(2.1, 1))
        for (left, right), group in zip(axes, groups, strict=True):
            _draw_block(left, right, group, images)
            title = f'{group.block}, {group.averages.shape[1]} channels'
            left.set_title(f'{group.model}, {title}' if several else title, loc='left', pad=3)
            left.set_ylabel('average')
            right.set_ylabel('autocorrelation')
        axes[-1, 0].set_xlabel('channel')
        axes[-1, 1].set_xlabel('lag (channels)')
        handles, names = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc='outside upper center', ncols=min(4, len(names)),
                      handlelength=2.8)
    return figure


def _draw_block(left: Axes, right: Axes, group: BlockAverages, images: list[str]) -> None:
    # One band for all images: those of single images hardly differ.
    low, high = np.mean([found.band for found in group.periodicity], axis=0)
    lags = np.arange(len(low))
    right.fill_between(lags[1:], low[1:], high[1:], color='.87', linewidth=0)
    for name, y, found, style in zip(images, group.averages, group.periodicity,
                                     line_styles(len(images)), strict=True):
        line = dict(color=style['color'], linestyle=style['linestyle'], linewidth=.8)
        left.plot(y, label=name, **line)
        right.plot(lags[1:], found.autocorrelation[1:], **line)
        if found.period is not None and found.peak_p <= .05:
            right.plot(found.period, found.autocorrelation[found.period], 'o', mfc='none',
                       color=style['color'], markersize=5)
    left.set_xlim(0, group.averages.shape[1] - 1)
    right.set_xlim(1, lags[-1])
    for ax in (left, right):
        ax.axhline(0, color='.5', linewidth=.5, zorder=1)
        ax.locator_params(axis='x', nbins=6, integer=True)
        ax.locator_params(axis='y', nbins=4)
