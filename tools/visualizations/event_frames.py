#!/usr/bin/env python
"""Draw events over frames, to see whether they are aligned and the boxes fit."""
import json
import os

import cv2

import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.utils.atomic_files import write_atomically
from eca_mm.utils.cli import run
from eca_mm.utils.errors import UserError
from eca_mm.utils.grammar import new_parser, positive
from eca_mm.utils.outputs import check_outputs, check_targets, refuse_contents
from eca_mm.utils.regular_files import read_text
from eca_mm.utils.terminal import say
from eca_mm.visualization.event_frames import draw_records, draw_sequence


def main() -> None:
    """Parse the command line and draw."""
    parser = new_parser(
        'Draw frame, events and both side by side: for frames of an annotation file, with boxes '
        'and in the view that it has, or for a frame of a DSEC sequence in either view.',
        'python tools/visualizations/event_frames.py data/DSEC/annotations/dsec_val.json '
        '--data-root data/DSEC --out-dir pictures',
        'overwrite', overwrite='allow --out-dir to replace pictures that are there')
    parser.add_argument('source', help='annotation file (.json), or folder of a DSEC sequence')
    parser.add_argument('--out-dir', required=True, metavar='D', help='where the pictures go')
    parser.add_argument('--data-root', metavar='D', help='root of the files that the annotation '
                        'file names (default: the folder above its own)')
    parser.add_argument('--num', type=positive, default=8, metavar='N',
                        help='frames of the annotation file, evenly spread (default: 8)')
    parser.add_argument('--view', choices=('distorted', 'rectified'), default='distorted',
                        help='view of a sequence (default: distorted)')
    parser.add_argument('--frame', type=int, default=1, metavar='N',
                        help='frame of a sequence (default: 1)')
    args = parser.parse_args()

    if not os.path.exists(args.source):
        raise UserError(f'{args.source} does not exist; give an annotation file or the folder of a '
                        'DSEC sequence.')
    check_outputs(args, args.out_dir)
    root = args.data_root or os.path.dirname(os.path.dirname(os.path.abspath(args.source)))
    if os.path.isdir(args.source):
        root = args.source
        pictures = [(f'{args.frame:06d}_{args.view}.png',
                     draw_sequence(args.source, args.frame, args.view))]
    else:
        try:
            classes = [category['name'] for category in json.loads(
                read_text(args.source))['categories']]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(f'{args.source} is not an annotation file in COCO format ({error}).'
                            ) from error
        pictures = draw_records(args.source, root, classes, args.num)
    targets = [os.path.join(args.out_dir, name) for name, _ in pictures]
    check_targets(targets, [args.source])
    for target in targets:
        refuse_contents(target, [root])
    for target, (_, picture) in zip(targets, pictures, strict=True):
        write_atomically(cv2.imencode('.png', picture)[1].tobytes(), target)
    say(f'{len(pictures)} pictures: {args.out_dir}')


if __name__ == '__main__':
    run(main)
