#!/usr/bin/env python
"""Draw accuracy against the kernel size of ECA, the paper's Figure 4."""
from dataclasses import asdict

import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.utils.cli import run
from eca_mm.utils.results import write_results
from eca_mm.utils.terminal import progress, say, show_table
from eca_mm.visualization.command import check_picture, picture_parser
from eca_mm.visualization.kernel_sweep import draw_kernel_sweep, swept
from eca_mm.visualization.runs import read_run, run_files
from eca_mm.visualization.style import save_picture


def main() -> None:
    """Parse the command line, read the runs and draw."""
    parser = picture_parser(
        'Draw the results of runs with different kernel sizes (the paper\'s Figure 4). Network and '
        'kernel size are read from the runs\' configs; runs with adaptive or other sizes, with '
        'another attention or none are drawn as horizontal lines.',
        'python tools/visualizations/kernel_sweep.py work_dirs/k3 work_dirs/k5 work_dirs/k7 '
        'work_dirs/k9 work_dirs/adaptive work_dirs/se --out kernel_sweep.png', 'kernel_sweep.png')
    parser.add_argument('work_dirs', nargs='+', metavar='WORK_DIR', help='work directory of a run; '
                        'of several with the same kernel size the mean is drawn')
    parser.add_argument('--metric', default='accuracy/top1', metavar='M',
                        help='what to draw, e.g. coco/bbox_mAP (default: accuracy/top1)')
    parser.add_argument('--best', action='store_true',
                        help="take each run's best validation (default: the last one)")
    args = parser.parse_args()
    check_picture(args, inputs=run_files(args.work_dirs))

    read = [read_run(path) for path in progress(args.work_dirs, 'Reading')]
    runs = [swept(part, args.metric, args.best) for part in read]
    save_picture(draw_kernel_sweep(runs, args.metric), args.out)
    show_table(('run', 'network', 'kernel size', args.metric), [
        (path, part.network, part.kernel, f'{part.result:.4g}')
        for path, part in zip(args.work_dirs, runs, strict=True)])
    for note in (note for part in read for note in part.notes):
        say(note)
    if args.json:
        write_results({path: asdict(part) for path, part in zip(args.work_dirs, runs, strict=True)},
                      args.json, args.overwrite)
    say(f'Picture: {args.out}')


if __name__ == '__main__':
    run(main)
