#!/usr/bin/env python
"""Evaluate a checkpoint of a classifier or a detector."""
import os

import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.deploy import FuseHook
from eca_mm.engine.config import load_config, use_work_dir
from eca_mm.engine.outputs import dump_predictions
from eca_mm.engine.runner import build_runner
from eca_mm.engine.tta import use_tta
from eca_mm.utils.cli import run
from eca_mm.utils.errors import UserError
from eca_mm.utils.grammar import new_parser
from eca_mm.utils.outputs import check_outputs
from eca_mm.visualization.show_dir import SavePicturesHook


def main() -> None:
    """Parse the command line and evaluate."""
    parser = new_parser(
        'Evaluate a checkpoint; detectors print the COCO table.',
        'python tools/test.py configs/faster_rcnn/faster-rcnn_eca-r50_fpn_4xb2-1x_coco.py '
        'epoch_12.pth --out predictions.pkl --show-dir pictures',
        'config', 'checkpoint', 'work-dir', 'launcher', 'cfg-options', 'out', 'overwrite',
        out=dict(metavar='F.pkl',
                 help="write the predictions, in mmdet's or mmengine's dump format"))
    parser.add_argument('--show-dir', metavar='D', help='draw the predictions into this folder, '
                        'each under the path of its image below the data root')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation: tta_model and '
                        'tta_pipeline of the config, or horizontal flips')
    parser.add_argument('--fuse', action='store_true',
                        help='test the inference form (eca_mm.deploy.fuse): same results, faster')
    args = parser.parse_args()
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        parser.error(f'--out must end in .pkl or .pickle, but got {args.out}')

    check_outputs(args, *filter(None, [args.show_dir]))
    config = load_config(args.config, args.cfg_options)
    config.launcher = args.launcher
    if config.get('test_cfg') is None:
        raise UserError(f'Config {args.config} has no test_cfg, so there is nothing to test.')
    if not os.path.isfile(args.checkpoint) and '://' not in args.checkpoint:
        raise UserError(f'Checkpoint {args.checkpoint} does not exist; give the path of a .pth '
                        'file.')
    use_work_dir(config, args.config, args.work_dir)
    config.load_from, config.resume = args.checkpoint, False
    if args.tta:
        use_tta(config)
    runner = build_runner(config)
    if args.show_dir:
        threshold = (config.get('default_hooks') or {}).get('visualization', {}) or {}
        runner.register_hook(SavePicturesHook(args.show_dir, threshold.get('score_thr', .3)))
    if args.fuse:
        runner.register_hook(FuseHook())
    if args.out:
        dump_predictions(runner, args.out)
    runner.test()


if __name__ == '__main__':
    run(main)
