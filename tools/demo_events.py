#!/usr/bin/env python
"""Train detectors on frames, on events and on both, on drawn scenes, in minutes on a CPU."""
import sys
import time
from pathlib import Path

import cv2
from rich.console import Console
from rich.table import Table

import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.datasets.event_frame_scenes import draw_event_scenes
from eca_mm.utils.atomic_files import write_atomically
from eca_mm.utils.cli import run
from eca_mm.utils.errors import UserError
from eca_mm.utils.grammar import new_parser, positive
from eca_mm.utils.outputs import check_outputs
from eca_mm.utils.results import write_results
from eca_mm.utils.terminal import say
from eca_mm.visualization.event_demo import ROWS, draw_predictions, row_config, run_row

CONFIG = Path(__file__).resolve().parents[1] / (
    'configs/demo/retinanet_2xr18-eca_fpn_1xb16-300it_events.py')
SCENES, FRAMES = dict(train=96, test=20, dark=20), 8
NAMES = dict(frames='frames only', events='events only', concat='concatenation', eca='ECA')
GOAL_AP50, GOAL_DARK = 0.7, 0.2


def main() -> None:
    """Draw the data, train and evaluate the rows, show the table."""
    parser = new_parser(
        'Draw scenes with moving shapes, seen by a frame camera and a simulated event camera, and '
        'train four small detectors on them: frames only, events only, and both, fused by a '
        f'concatenation or by ECA. Fails if ECA stays below an AP50 of {GOAL_AP50}, or with black '
        f'frames is not at least {GOAL_DARK} AP better than frames only.',
        'python tools/demo_events.py --work-dir work_dirs/demo_events --json demo_events.json',
        'json', 'overwrite')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo_events'), metavar='D',
                        help='for the data, checkpoints and pictures (work_dirs/demo_events)')
    parser.add_argument('--iters', type=positive, help='training iterations (those of the config)')
    parser.add_argument('--seed', type=int, default=0, help='seed of scenes and training (0)')
    parser.add_argument('--rows', nargs='+', choices=ROWS, default=list(ROWS),
                        help='which detectors to train (all; the goals need frames and eca)')
    args = parser.parse_args()
    check_outputs(args)
    start, root = time.monotonic(), args.work_dir
    data = root / f'data_{args.seed}'
    if not data.is_dir():
        draw_event_scenes(data, SCENES, FRAMES, seed=args.seed)
    figures = {}
    for row in args.rows:
        cfg = row_config(str(CONFIG), row, str(data), str(root / f'{row}_{args.seed}'), args.iters,
                         args.seed)
        runner, figures[row] = run_row(cfg, str(data))
        for part in ('test', 'dark'):
            picture = draw_predictions(runner, cfg, str(data), part)
            write_atomically(cv2.imencode('.png', picture)[1].tobytes(),
                             root / f'{row}_{args.seed}_{part}.png')
    table = Table('detector', 'AP', 'AP50', 'AP, black frames')
    for row, found in figures.items():
        table.add_row(NAMES[row], *(f'{found[key]:.3f}' for key in ('ap', 'ap50', 'ap_dark')))
    Console().print(table)
    say(f'Frame, events and both with predictions: {root}/*.png\n'
        f'{time.monotonic() - start:.0f} s')
    if args.json:
        write_results(figures, args.json, args.overwrite)
    if not {'frames', 'eca'} <= set(figures):
        sys.exit(0)
    gain = figures['eca']['ap_dark'] - figures['frames']['ap_dark']
    if figures['eca']['ap50'] < GOAL_AP50 or gain < GOAL_DARK:
        raise UserError(f'ECA has an AP50 of {figures["eca"]["ap50"]:.3f} (at least {GOAL_AP50} is '
                        f'expected), and with black frames {gain:.3f} AP more than frames only '
                        f'(at least {GOAL_DARK}); train longer by --iters.')


if __name__ == '__main__':
    run(main)
