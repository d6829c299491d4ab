"""Write docs/model_zoo.md, the table of all models, from the metafiles."""
import argparse
from pathlib import Path

from eca_mm.analysis.model_zoo import model_zoo
from eca_mm.utils import cli
from eca_mm.utils.atomic_files import write_atomically

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Write the page, or print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog='example: python tools/analysis_tools/model_zoo.py --print',
        formatter_class=cli.HelpFormatter)
    parser.add_argument('--print', action='store_true', help='print the page, write nothing')
    args = parser.parse_args()
    page = model_zoo(ROOT / 'model-index.yml')
    if args.print:
        print(page, end='')
    else:
        write_atomically(page.encode(), ROOT / 'docs/model_zoo.md')


if __name__ == '__main__':
    cli.run(main)
