"""The style of our pictures: distinguishable for colour-blind readers and in greyscale print."""
import functools
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import matplotlib
from cycler import Cycler, cycler
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter
from PIL import Image

from eca_mm.utils.atomic_files import write_atomically
from eca_mm.utils.errors import UserError
from eca_mm.utils.terminal import printable

# Okabe and Ito's palette without its yellow; https://jfly.uni-koeln.de/color/. Neighbours differ
# in lightness, and line styles and markers repeat what the colours say.
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00')
DASHES = ('-', (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (8, 2)))
MARKERS = 'osD^vP'
# Areas may be yellow and grey, too.
FILLS = (*COLOURS, '#F0E442', '#999999')
HATCHES = ('', '////', '....', 'xx', '\\\\\\\\', '++', 'oo', '||')
FORMATS = ('.png', '.pdf', '.svg')
# Characters of a line of text in a picture.
_LONGEST = 200

_RC = {
    'font.size': 8, 'axes.titlesize': 8, 'axes.labelsize': 8, 'legend.fontsize': 8,
    'xtick.labelsize': 7, 'ytick.labelsize': 7, 'axes.linewidth': .6, 'lines.linewidth': 1,
    'xtick.major.width': .6, 'ytick.major.width': .6, 'axes.spines.top': False,
    'axes.spines.right': False, 'axes.grid': True, 'grid.linewidth': .4, 'grid.color': '.88',
    'axes.axisbelow': True, 'legend.frameon': False, 'hatch.linewidth': .5,
    # Names may hold dollars; broken formulas are errors.
    'text.parse_math': False,
    # Text stays text in a PDF, and an SVG is the same in every run.
    'pdf.fonttype': 42, 'svg.fonttype': 'none', 'svg.hashsalt': 'eca_mm', 'figure.dpi': 100,
}


@contextmanager
def paper_style() -> Iterator[None]:
    """Draw with the settings of our pictures for the time of a ``with`` block."""
    with matplotlib.rc_context(_RC):
        yield


def line_styles(count: int) -> list[dict]:
    """Styles for lines in one plot.

    Args:
        count (int): Number of lines.

    Returns:
        list[dict]: For each, arguments ``color``, ``linestyle`` and ``marker`` of matplotlib. Up
        to six differ in all three, up to 30 in their combination.
    """
    # Every round through the colours starts one dash further.
    rounds = [cycler(color=COLOURS) + cycler(marker=MARKERS)
              + cycler(linestyle=DASHES[start:] + DASHES[:start]) for start in range(len(DASHES))]
    styles = functools.reduce(Cycler.concat, rounds)
    return list(islice(styles(), count))


def check_format(path: str) -> None:
    """Make sure, before the work is done, that a picture's name has a known ending.

    Args:
        path (str): The picture to write.

    Raises:
        UserError: If it ends in none of ``.png``, ``.pdf`` and ``.svg``.
    """
    if os.path.splitext(path)[1].lower() not in FORMATS:
        raise UserError(f'{path} is not a name for a picture: it must end in .png, .pdf or .svg.')


def save_picture(figure: Figure, path: str, dpi: int = 150) -> None:
    """Write a figure, completely or not at all.

    Args:
        figure (Figure): What to write.
        path (str): File ending in ``.png``, ``.pdf`` or ``.svg``.
        dpi (int): Resolution of a PNG in pixels per inch. Defaults to 150.

    Raises:
        UserError: If the suffix is not one of these.
        OSError: If it cannot be written.
    """
    check_format(path)
    _make_text_plain(figure)
    kind = os.path.splitext(path)[1].lower()[1:]
    buffer = io.BytesIO()
    # Without dates the same figures give the same file.
    metadata = {'png': {}, 'pdf': {'CreationDate': None}, 'svg': {'Date': None}}[kind]
    with matplotlib.rc_context(_RC):
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata, bbox_inches='tight')
    if kind == 'png':
        buffer = _with_palette(buffer)
    write_atomically(buffer.getvalue(), path)


def _make_text_plain(figure: Figure) -> None:
    """Draw names from files without control characters, which break an SVG, and not too long."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            # Texts of our own at ticks, not numbers.
            if isinstance(axis.get_major_formatter(), FuncFormatter):
                axis.set_ticks(axis.get_ticklocs(), [
                    printable(text.get_text(), _LONGEST) for text in axis.get_ticklabels()])
    for text in figure.findobj(Text):
        text.set_text('\n'.join(printable(line, _LONGEST) for line in text.get_text().split('\n')))
        text.set_parse_math(False)


def _with_palette(png: io.BytesIO) -> io.BytesIO:
    """The same with 256 colours, which is all that lines and text have: a third of the size."""
    result = io.BytesIO()
    with Image.open(png) as image:
        reduced = image.convert('RGB').quantize(256, dither=Image.Dither.NONE)
        reduced.save(result, format='png', optimize=True, dpi=image.info.get('dpi'))
    return result
