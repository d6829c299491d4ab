"""Recompute parameters and FLOPs of the paper's tables; needs no weights and no data."""
import argparse
import os

from rich.console import Console
from rich.progress import track

from eca_mm.analysis.paper_markdown import HEADER, as_markdown
from eca_mm.analysis.paper_tables import TABLES, load_figures, recompute
from eca_mm.utils import cli
from eca_mm.utils.atomic_files import write_atomically
from eca_mm.utils.errors import UserError
from eca_mm.utils.results import write_results


def check_page(path: str) -> None:
    """Refuse to write over a file that is not an older version of the page."""
    if os.path.isfile(path):
        with open(path, encoding='utf-8', errors='replace') as stream:
            if stream.read(len(HEADER)) != HEADER:
                raise UserError(f'{path} exists and is not a page of this tool, so it is left as '
                                'it is; choose another file for --out.')


def main() -> None:
    """Recompute what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='example: python tools/analysis_tools/paper_tables.py --tables 3 7 --json t.json',
        formatter_class=cli.HelpFormatter)
    parser.add_argument('--tables', nargs='+', type=int, choices=TABLES, default=list(TABLES),
                        metavar='N', help='some of the tables 2 to 7 (default: all)')
    parser.add_argument('--out', metavar='F', help='Markdown page to write (default: '
                        'docs/paper_tables.md if all tables are recomputed, else none)')
    parser.add_argument('--json', metavar='F', help='write the figures to this JSON file too')
    args = parser.parse_args()
    wanted = sorted(set(args.tables))
    out = args.out or ('docs/paper_tables.md' if wanted == list(TABLES) else None)
    if out:
        check_page(out)

    figures = load_figures()
    rows = [(number, name) for number in wanted for name in figures[f'table{number}']['rows']]
    tables: dict[str, dict] = {f'table{number}': {} for number in wanted}
    for number, name in track(rows, 'Recomputing', console=Console(stderr=True)):
        tables[f'table{number}'][name] = recompute(number, name)

    page = as_markdown(tables)
    if out:
        write_atomically(page.encode(), out)
    if args.json:
        write_results(tables, args.json)
    print(page)


if __name__ == '__main__':
    cli.run(main)
