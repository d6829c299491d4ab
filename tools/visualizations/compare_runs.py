#!/usr/bin/env python
"""Compare runs: training curves and results of several runs on one page."""
import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.utils.cli import run
from eca_mm.utils.grammar import labels_for
from eca_mm.utils.results import write_results
from eca_mm.utils.terminal import progress, say, show_table
from eca_mm.visualization.command import check_picture, picture_parser
from eca_mm.visualization.compare_runs import (
    KINDS,
    check_scalars,
    differing_ends,
    draw_comparison,
    number,
    validation_results,
)
from eca_mm.visualization.runs import read_run, run_files
from eca_mm.visualization.style import save_picture


def main() -> None:
    """Parse the command line, read the runs and draw."""
    parser = picture_parser(
        'Draw training curves and COCO AP, AP50, AP75, APS, APM and APL of several runs, or the '
        'metrics of classifiers, on one page, from what mmengine wrote into their work '
        'directories. A resumed run is one run.',
        'python tools/visualizations/compare_runs.py work_dirs/faster-rcnn_r50 '
        'work_dirs/faster-rcnn_eca-r50 --labels plain ECA --out compare.png', 'compare.png')
    parser.add_argument('work_dirs', nargs='+', metavar='WORK_DIR', help='work directory of a run, '
                        'or a time-stamped folder in it for one start')
    parser.add_argument('--labels', nargs='+', metavar='L',
                        help='names of the runs in the picture (default: those of the folders)')
    parser.add_argument('--best', action='store_true', help='show the validation with the highest '
                        'AP, or first metric, of each run (default: the last one)')
    parser.add_argument('--scalars', nargs='+', metavar='NAME', default=[], help='further logged '
                        'values to draw over the iterations, such as loss_cls, grad_norm or '
                        'coco/bbox_mAP_s; val/loss is that of ValLossHook')
    args = parser.parse_args()
    labels = labels_for(parser, args.labels, args.work_dirs)
    check_picture(args, inputs=run_files(args.work_dirs))

    runs = dict(zip(labels, map(read_run, progress(args.work_dirs, 'Reading')), strict=True))
    notes = [*(note for part in runs.values() for note in part.notes),
             *check_scalars(runs, args.scalars)]
    # Curves that are asked for by name need no validation.
    validated = any(part.validations for part in runs.values())
    results = validation_results(runs, args.best) if validated or not args.scalars else {}
    save_picture(draw_comparison(runs, results, args.scalars), args.out)
    for kind, rows in results.items():
        show_table(('run', *next(iter(rows.values()))), [
            (label, *('-' if value is None else number(value) for value in values.values()))
            for label, values in rows.items()],
            title=f'AP of {KINDS[kind]}, %' if kind in KINDS else 'Metrics of the validation')
    for note in notes + differing_ends(runs):
        say(note)
    if args.json:
        write_results(results, args.json, args.overwrite)
    say(f'Picture: {args.out}')


if __name__ == '__main__':
    run(main)
