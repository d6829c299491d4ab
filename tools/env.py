#!/usr/bin/env python
"""Print the versions of everything that eca_mm runs on, for bug reports."""
from eca_mm.compat.environment import environment
from eca_mm.utils.cli import run
from eca_mm.utils.grammar import new_parser
from eca_mm.utils.outputs import check_outputs
from eca_mm.utils.results import write_results
from eca_mm.utils.terminal import say


def main() -> None:
    """Print what is installed."""
    parser = new_parser(__doc__, 'python tools/env.py --json env.json', 'json', 'overwrite',
                        json='write the same to this JSON file too')
    args = parser.parse_args()
    check_outputs(args)
    found = environment()
    for name, value in found.items():
        say(f'{name}: {value}')
    if args.json:
        write_results(found, args.json, args.overwrite)


if __name__ == '__main__':
    run(main)
