"""Write the tables of models in docs/model_zoo.md and configs/*/README.md, from the metafiles."""
import argparse
from pathlib import Path

from eca_mm.analysis.model_zoo import load_families, model_zoo
from eca_mm.utils import cli
from eca_mm.utils.atomic_files import write_atomically

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Write the pages, or print the one of all models."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog='example: python tools/analysis_tools/model_zoo.py --print',
        formatter_class=cli.HelpFormatter)
    parser.add_argument('--print', action='store_true',
                        help='print the page of all models, write nothing')
    args = parser.parse_args()
    index = ROOT / 'model-index.yml'
    page = model_zoo(index)
    if args.print:
        print(page, end='')
        return
    pages = {family.readme: family.updated_readme() for family in load_families(index)}
    for path, text in {**pages, ROOT / 'docs/model_zoo.md': page}.items():
        write_atomically(text.encode(), path)


if __name__ == '__main__':
    cli.run(main)
