#!/usr/bin/env python
"""Recompute parameters and FLOPs of the paper's tables; needs no weights and no data."""
from eca_mm.analysis.paper_markdown import as_markdown
from eca_mm.analysis.paper_tables import TABLES, load_figures, recompute
from eca_mm.utils.atomic_files import write_atomically
from eca_mm.utils.cli import run
from eca_mm.utils.grammar import new_parser
from eca_mm.utils.outputs import check_outputs
from eca_mm.utils.results import write_results
from eca_mm.utils.terminal import progress, say


def main() -> None:
    """Recompute what the command line asks for."""
    parser = new_parser(
        __doc__, 'python tools/analysis_tools/paper_tables.py --tables 3 7 --json tables.json',
        'out', 'json', 'overwrite', out='Markdown page to write too, e.g. docs/paper_tables.md')
    parser.add_argument('--tables', nargs='+', type=int, choices=TABLES, default=list(TABLES),
                        metavar='N', help='some of the tables 2 to 7 (default: all)')
    args = parser.parse_args()
    wanted = sorted(set(args.tables))
    check_outputs(args)

    figures = load_figures()
    rows = [(number, name) for number in wanted for name in figures[f'table{number}']['rows']]
    tables: dict[str, dict] = {f'table{number}': {} for number in wanted}
    for number, name in progress(rows, 'Recomputing'):
        tables[f'table{number}'][name] = recompute(number, name)

    page = as_markdown(tables)
    if args.out:
        write_atomically(page.encode(), args.out)
    if args.json:
        write_results(tables, args.json, args.overwrite)
    say(page)


if __name__ == '__main__':
    run(main)
