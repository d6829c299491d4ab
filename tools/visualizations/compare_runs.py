#!/usr/bin/env python
"""Compare detectors: training curves and COCO results of several runs on one page."""
import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.utils.cli import run
from eca_mm.utils.grammar import labels_for
from eca_mm.utils.results import write_results
from eca_mm.utils.terminal import progress, say, show_table
from eca_mm.visualization.command import check_picture, picture_parser
from eca_mm.visualization.compare_runs import (
    KINDS,
    METRICS,
    coco_results,
    differing_ends,
    draw_comparison,
)
from eca_mm.visualization.runs import read_run, run_files
from eca_mm.visualization.style import save_picture


def main() -> None:
    """Parse the command line, read the runs and draw."""
    parser = picture_parser(
        'Draw training curves and COCO AP, AP50, AP75, APS, APM and APL of several runs on one '
        'page, from what mmengine wrote into their work directories. A resumed run is one run.',
        'python tools/visualizations/compare_runs.py work_dirs/faster-rcnn_r50 '
        'work_dirs/faster-rcnn_eca-r50 --labels plain ECA --out compare.png', 'compare.png')
    parser.add_argument('work_dirs', nargs='+', metavar='WORK_DIR', help='work directory of a run, '
                        'or a time-stamped folder in it for one start')
    parser.add_argument('--labels', nargs='+', metavar='L',
                        help='names of the runs in the picture (default: those of the folders)')
    parser.add_argument('--best', action='store_true', help='show the validation with the highest '
                        'AP of each run (default: the last one)')
    args = parser.parse_args()
    labels = labels_for(parser, args.labels, args.work_dirs)
    check_picture(args, inputs=run_files(args.work_dirs))

    runs = dict(zip(labels, map(read_run, progress(args.work_dirs, 'Reading')), strict=True))
    results = coco_results(runs, args.best)
    save_picture(draw_comparison(runs, results), args.out)
    for kind, rows in results.items():
        show_table(('run', *METRICS), [
            (label, *('-' if value is None else f'{value:.1f}' for value in values.values()))
            for label, values in rows.items()], title=f'AP of {KINDS[kind]}, %')
    notes = [note for part in runs.values() for note in part.notes]
    for note in notes + differing_ends(runs):
        say(note)
    if args.json:
        write_results(results, args.json, args.overwrite)
    say(f'Picture: {args.out}')


if __name__ == '__main__':
    run(main)
