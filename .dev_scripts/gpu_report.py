#!/usr/bin/env python
"""Measure a GPU and write a section for docs/benchmarks.md; gpu_report.sh runs it."""
import argparse
from pathlib import Path

from eca_mm.benchmark.gpu_report import device_report
from eca_mm.utils.results import write_results


def main() -> None:
    """Measure, and write OUT/benchmark.json and OUT/benchmark.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('out', type=Path)
    parser.add_argument('--seconds', type=float, default=1000)
    parser.add_argument('--rehearse', action='store_true')
    args = parser.parse_args()
    figures, section = device_report('cpu' if args.rehearse else 'cuda', args.seconds,
                                     args.rehearse)
    write_results(figures, str(args.out / 'benchmark.json'), overwrite=True)
    (args.out / 'benchmark.md').write_text(section, encoding='utf-8')
    print(section)


if __name__ == '__main__':
    main()
