"""Results of the benchmark as a table and as a bar chart."""
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from eca_mm.utils.atomic_files import write_atomically
from eca_mm.utils.terminal import markdown_table, printable

# Value, and lower and upper end of its spread.
Bar = tuple[float, float, float]


@dataclass(frozen=True)
class Report:
    """What one mode of the benchmark found.

    Attributes:
        figures (dict): All of it, of JSON's types.
        header (list[str]): The table's columns.
        rows (list[list[str]]): The table's cells.
        axis (str): What the bars' lengths are.
        bars (dict[str, dict[str, Bar]]): Bars by series and label.
        note (str): A remark below the table; may be empty.
    """

    figures: dict
    header: list[str]
    rows: list[list[str]]
    axis: str
    bars: dict[str, dict[str, Bar]]
    note: str = ''

    def markdown(self) -> str:
        """Write the table as Markdown, with columns that line up, and the note.

        Returns:
            str: The lines.
        """
        table = markdown_table(self.header, self.rows)
        return f'{table}\n\n{self.note}' if self.note else table

    def draw(self, path: str) -> None:
        """Draw the bar chart.

        Args:
            path (str): PNG file to write.

        Raises:
            OSError: If it cannot be written.
        """
        # Only drawing needs it, and it takes a second to import.
        from matplotlib import rc_context
        with rc_context({'text.parse_math': False}):
            self._draw(path)

    def _draw(self, path: str) -> None:
        from matplotlib.figure import Figure
        labels = list(dict.fromkeys(label for bars in self.bars.values() for label in bars))
        count = len(self.bars)
        figure = Figure(figsize=(8, 1.2 + .28 * len(labels) * max(count, 1.4)),
                        layout='constrained')
        axes = figure.subplots()
        for i, (series, bars) in enumerate(self.bars.items()):
            positions = [labels.index(label) + (i - (count - 1) / 2) * .8 / count for label in bars]
            values, lows, highs = zip(*bars.values(), strict=True)
            spread = [[v - low for v, low in zip(values, lows, strict=True)],
                      [high - v for v, high in zip(values, highs, strict=True)]]
            drawn = axes.barh(positions, values, .8 / count, xerr=spread, label=printable(series),
                              error_kw=dict(lw=1, alpha=.6))
            axes.bar_label(drawn, [f'{value:.2f}' for value in values], padding=4, fontsize=8)
        axes.axvline(1, color='black', lw=.8, ls='--')
        axes.set_yticks(range(len(labels)), [printable(label, 60) for label in labels])
        axes.invert_yaxis()
        axes.margins(x=.12)
        axes.set_xlabel(self.axis)
        axes.spines[['top', 'right']].set_visible(False)
        if count > 1:
            figure.legend(loc='outside upper center', ncols=count, fontsize=8)
        file = io.BytesIO()
        figure.savefig(file, format='png', dpi=150)
        write_atomically(file.getvalue(), path)


def _cell(values: dict, text: Callable, name: str) -> str:
    value = values.get(name)
    return '' if value is None else text(value)


def comparison_report(result: dict) -> Report:
    """Lay out what :func:`eca_mm.benchmark.comparison.compare` measured.

    Args:
        result (dict): Its result.

    Returns:
        Report: One row and one bar per entry.
    """
    columns: dict[Any, Callable[[str], str]] = {
        'ms': lambda n: f'{1e3 * result["seconds"][n]["median"]:.1f}',
        'quartiles': lambda n: ' - '.join(
            f'{1e3 * q:.1f}' for q in result['seconds'][n]['quartiles']),
        'images/s': lambda n: f'{result["images_per_second"][n]:.2f}',
        'to plain': lambda n: f'{result["ratios_to_plain"][n]:.3f}',
        'its quartiles': lambda n: ' - '.join(
            f'{q:.3f}' for q in result['ratio_quartiles'][n])}
    for key, title, text in (
            ('saved_bytes', 'saved, MB', lambda value: f'{value / 1e6:.1f}'),
            ('saved_bytes_to_plain', 'to plain', lambda value: f'{value:.3f}'),
            ('peak_memory_bytes', 'peak, MB', lambda value: f'{value / 1e6:.0f}'),
            ('difference', 'difference', lambda value: f'{value:.0e}'),
            ('graph_breaks', 'graph breaks', str)):
        if key in result:
            columns[(key, title)] = partial(_cell, result[key], text)
    header = ['', *(key[1] if isinstance(key, tuple) else key for key in columns)]
    rows = [[name, *(cell(name) for cell in columns.values())] for name in result['seconds']]
    step = 'training' if result['settings']['training'] else 'inference'
    bars = {n: (ratio, *result['ratio_quartiles'][n])
            for n, ratio in result['ratios_to_plain'].items()}
    absent = ', '.join(result['not_installed'])
    return Report(result, header, rows, f'{step} throughput beside the network without attention',
                  {step: bars}, absent and f'Not measured, as timm is not installed: {absent}.')
