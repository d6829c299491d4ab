#!/usr/bin/env python
"""Show the predictions of a classifier or detector for pictures and videos."""
import os

import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.engine.config import load_config, scope
from eca_mm.utils.cli import run
from eca_mm.utils.grammar import add_shared, check_device, new_parser, positive
from eca_mm.utils.outputs import check_outputs
from eca_mm.utils.results import write_results
from eca_mm.utils.terminal import say, working
from eca_mm.visualization.demo import predict_sources
from eca_mm.visualization.predict import Predictor
from eca_mm.visualization.sources import find_sources


def main() -> None:
    """Parse the command line and predict."""
    parser = new_parser(
        'Draw the predictions of a classifier or detector on a picture, on all pictures and videos '
        'of a folder and its sub-folders, or on a camera, and list them. Files that cannot be used '
        'are named, skipped and counted.',
        'python tools/demo.py street.jpg '
        'configs/faster_rcnn/faster-rcnn_eca-r50_fpn_4xb2-1x_coco.py epoch_12.pth '
        '--out-dir demo_pictures')
    parser.add_argument('image', help='picture, video, folder, "pattern/*.jpg", camera:0, or the '
                        'address of a stream (rtsp://...)')
    add_shared(parser, 'config', 'checkpoint', 'device', 'cfg-options', 'json', 'overwrite',
               json='write the predictions to this JSON file: of each picture (or frame) its file, '
               'and class, label, score and, of detectors, bbox (left, top, right, bottom)')
    parser.add_argument('--out-dir', metavar='D', help='where the pictures and videos go (those of '
                        'detectors into D/vis)')
    parser.add_argument('--score-thr', type=float, default=0.3, metavar='S',
                        help='lowest score of boxes to draw and list (default: 0.3)')
    parser.add_argument('--frames', type=positive, metavar='N',
                        help='take the first N frames of each video (default: all; of a camera '
                        'until Ctrl-C)')
    args = parser.parse_args()
    if not args.out_dir and not args.json:
        parser.error('give --out-dir for pictures, --json for a file of predictions, or both')

    sources = find_sources(args.image, args.out_dir)
    check_outputs(args, *filter(None, [args.out_dir]),
                  inputs=[*sources.images, *sources.videos, *filter(None, [sources.root])])
    config = load_config(args.config, args.cfg_options)
    check_device(args.device)
    with working('Loading the model'):
        predictor = Predictor(config, args.checkpoint, args.device, args.score_thr)
    for note in predictor.notes:
        say(note)
    folder = args.out_dir
    if folder and scope(config) == 'mmdet':
        folder = os.path.join(folder, 'vis')
    results = predict_sources(predictor, sources, folder, args.frames)
    if args.json:
        write_results(results, args.json, args.overwrite)
    if args.out_dir:
        say(f'Pictures: {args.out_dir}')


if __name__ == '__main__':
    run(main)
