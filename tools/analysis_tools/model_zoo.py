#!/usr/bin/env python
"""Print the table of all models, or update docs/model_zoo.md and configs/*/README.md with it."""
from pathlib import Path

from eca_mm.analysis.model_zoo import load_families, model_zoo
from eca_mm.utils.atomic_files import write_atomically
from eca_mm.utils.cli import run
from eca_mm.utils.errors import UserError
from eca_mm.utils.grammar import new_parser
from eca_mm.utils.terminal import say

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Print the page of all models, or write all pages."""
    parser = new_parser(
        __doc__, 'python tools/analysis_tools/model_zoo.py --print', 'overwrite',
        overwrite='update the pages of this checkout from the metafiles')
    parser.add_argument('--print', action='store_true',
                        help='print the page of all models, write nothing (the default)')
    args = parser.parse_args()
    index = ROOT / 'model-index.yml'
    page = model_zoo(index)
    if args.print or not args.overwrite:
        say(page.rstrip())
        return
    if not (ROOT / 'docs').is_dir():
        raise UserError('The pages belong to a checkout of the project; here is only an installed '
                        'package: print the page (--print).')
    pages = {family.readme: family.updated_readme() for family in load_families(index)}
    for path, text in {**pages, ROOT / 'docs/model_zoo.md': page}.items():
        write_atomically(text.encode(), path)
        say(f'Wrote {path}')


if __name__ == '__main__':
    run(main)
