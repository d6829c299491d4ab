"""What the tools print: text from files made harmless, tables, progress."""
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, ProgressColumn, SpinnerColumn, TextColumn
from rich.table import Table

T = TypeVar('T')
# C0 and C1 controls, DEL, line separators, the controls of bidirectional text, zero-width
# characters, tags, and halves of surrogate pairs: what changes a terminal or hides in it.
_CONTROL = re.compile('[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff'
                      '\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]')


def printable(text: object, limit: int = 120) -> str:
    r"""Make text from a file safe to print: no control characters, not too long.

    Args:
        text (object): A name of a weight, an image, a class ...; its ``str`` is taken.
        limit (int): Longer text keeps its beginning and its end. Defaults to 120.

    Returns:
        str: One line; an escape character, say, is shown as ``\x1b``.
    """
    # Cut before escaping as well: a name may have the size of its file.
    shown = _CONTROL.sub(_escaped, _cut(str(text), limit))
    return _cut(shown, limit)


def printable_lines(text: str, limit: int = 4000) -> str:
    """Make text of several lines safe to print.

    Args:
        text (str): A message, perhaps with names from files in it.
        limit (int): Longer lines keep their beginning and their end. Defaults to 4000.

    Returns:
        str: The same lines, each as :func:`printable` has it; tabs become spaces.
    """
    return '\n'.join(printable(line.expandtabs(4), limit) for line in str(text).split('\n'))


def say(text: object = '', error: bool = False) -> None:
    """Print a line or several, with what names from files could do to a terminal made visible.

    All tools print by this or by :func:`show_table`.

    Args:
        text (object): What to print; its ``str`` is taken.
        error (bool): Whether it goes to standard error. Defaults to False.
    """
    print(printable_lines(str(text)), file=sys.stderr if error else sys.stdout, flush=True)


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    head = (limit - 3) * 2 // 3
    return f'{text[:head]}...{text[len(text) - (limit - 3 - head):]}'


def _escaped(match: re.Match) -> str:
    return match[0].encode('unicode_escape').decode('ascii')


def console(stderr: bool = False) -> Console:
    """A console that prints cells as they are, without markup or emoji codes.

    Args:
        stderr (bool): Whether it writes to standard error. Defaults to False.

    Returns:
        Console: As wide as the terminal; elsewhere wide enough for every name.
    """
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False,
                   width=None if stream.isatty() else 160)


def show_table(header: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None,
               right: bool = False) -> None:
    """Print a table.

    Args:
        header (Sequence[str]): Names of the columns.
        rows (Iterable[Sequence[object]]): The cells; text from files is made printable.
        title (str, optional): Stands above the table.
        right (bool): Whether all columns but the first are aligned to the right. Defaults to
            False.
    """
    table = Table(title=None if title is None else printable(title))
    for index, name in enumerate(header):
        table.add_column(printable(name), justify='right' if right and index else 'left')
    for row in rows:
        table.add_row(*(printable_lines(str(cell), 120) for cell in row))
    console().print(table)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], align: str | None = None,
                   compact: bool = False) -> str:
    """Write a table in Markdown.

    Args:
        header (Sequence[str]): Names of the columns.
        rows (Iterable[Sequence[str]]): The cells.
        align (str, optional): ``'l'`` or ``'r'`` for each column. Defaults to the first one left
            and the others right.
        compact (bool): Whether cells are as short as their text, for files under version control,
            where one long cell would change every line. Defaults to False: columns line up.

    Returns:
        str: The lines.
    """
    align = align or 'l' + 'r' * (len(header) - 1)
    table = Table(box=box.MARKDOWN)
    for name, side in zip(header, align, strict=True):
        table.add_column(name, justify='right' if side == 'r' else 'left')
    for row in rows:
        table.add_row(*(cell.replace('|', r'\|') for cell in row))
    # A fixed width, so that the text is the same in every terminal.
    page = Console(width=100_000, markup=False, emoji=False, highlight=False, color_system=None,
                   no_color=True)
    with page.capture() as capture:
        page.print(table)
    head, rule, *body = (line.strip() for line in capture.get().strip().splitlines())
    # rich's rule does not say how columns are aligned.
    widths = [len(part) - 2 for part in rule.strip('|').split('|')]
    if compact:
        head, *body = map(_short, (head, *body))
        widths = [3 if side == 'l' else 4 for side in align]
    sides = zip(widths, align, strict=True)
    cells = ('-' * width if side == 'l' else '-' * (width - 1) + ':' for width, side in sides)
    return '\n'.join([head, f'| {" | ".join(cells)} |', *body])


def _short(line: str) -> str:
    cells = re.split(r'(?<!\\)\|', line)[1:-1]
    return f'| {" | ".join(cell.strip() for cell in cells)} |'


def progress(items: Iterable[T], text: str, total: int | None = None) -> Iterator[T]:
    """Go through something that takes long, with a bar on standard error.

    Args:
        items (Iterable): What to go through.
        text (str): What is being done.
        total (int, optional): How many items there are, where they cannot tell.

    Yields:
        T: The same items.
    """
    bar = _progress(*Progress.get_default_columns())
    with bar:
        yield from bar.track(items, total, description=escape(printable(text)))


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show that something takes a while, on standard error.

    Args:
        text (str): What is being done.
    """
    bar = _progress(SpinnerColumn(), TextColumn('{task.description}'), transient=True,
                    disable=not sys.stderr.isatty())
    with bar:
        bar.add_task(escape(printable(text)), total=None)
        yield


def _progress(*columns: ProgressColumn, **options: Any) -> Progress:
    # rich prints above its bar, on standard error, what is printed meanwhile: right on a terminal,
    # wrong where standard output goes into a file.
    return Progress(*columns, console=Console(stderr=True), redirect_stdout=sys.stdout.isatty(),
                    **options)
