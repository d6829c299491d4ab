#!/usr/bin/env python
"""Print which networks WithAttention supports, or update the table in docs/any_network.md."""
import re
from pathlib import Path

from eca_mm.analysis.any_network import BEGIN, END, networks_table
from eca_mm.utils.atomic_files import write_atomically
from eca_mm.utils.cli import run
from eca_mm.utils.errors import UserError
from eca_mm.utils.grammar import new_parser
from eca_mm.utils.terminal import say

PAGE = Path(__file__).resolve().parents[2] / 'docs/any_network.md'


def main() -> None:
    """Print the table, or write it into the page."""
    parser = new_parser(__doc__, 'python tools/analysis_tools/any_network.py --print', 'overwrite',
                        overwrite='write the table into the page of this checkout')
    parser.add_argument('--print', action='store_true', help='print the table (the default)')
    args = parser.parse_args()
    table = networks_table()
    if args.print or not args.overwrite:
        say(table.rstrip())
        return
    if not PAGE.is_file():
        raise UserError('The page belongs to a checkout of the project; here is only an installed '
                        'package: print the table (without --overwrite).')
    page = re.sub(f'{BEGIN}.*{END}\n', lambda _: table, PAGE.read_text(), flags=re.DOTALL)
    write_atomically(page.encode(), PAGE)
    say(f'Wrote {PAGE}')


if __name__ == '__main__':
    run(main)
