#!/usr/bin/env python
"""Train a classifier or a detector from a config."""
import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.benchmark.data_profile import profile_data, worker_choices
from eca_mm.engine.config import load_config, use_work_dir
from eca_mm.engine.options import use_amp, use_scaled_lr
from eca_mm.engine.runner import build_runner
from eca_mm.engine.variables import warn_of_unused
from eca_mm.utils.cli import run
from eca_mm.utils.errors import UserError
from eca_mm.utils.grammar import new_parser
from eca_mm.utils.results import add_results
from eca_mm.utils.terminal import console, say


def main() -> None:
    """Parse the command line and train."""
    parser = new_parser(
        'Train a classifier or a detector.',
        'python tools/train.py configs/demo/mask-rcnn_eca-r18-w32_fpn_1xb4-750it_shapes.py '
        '--cfg-options train_cfg.max_iters=20',
        'config', 'work-dir', 'cfg-options', 'launcher')
    parser.add_argument('--resume', nargs='?', const='auto', metavar='CKPT',
                        help='continue from a checkpoint; without CKPT from the latest one in the '
                        'work directory, if there is one')
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision (GPU)')
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help='scale the learning rate by the batch size, relative to the '
                        "config's auto_scale_lr.base_batch_size")
    parser.add_argument('--profile-data', nargs='*', type=int, metavar='N',
                        help='do not train, but measure how fast N (several may be given; default: '
                        '0, 1, 2, 4 ... up to the number of cores) worker processes load data, '
                        'against the time of a training step; the figures go to data_profile.json '
                        'in the work directory too')
    args = parser.parse_args()
    if min(args.profile_data or [0]) < 0:
        parser.error(f'--profile-data expects numbers of 0 or more, but got {args.profile_data}')

    config = load_config(args.config, args.cfg_options)
    config.launcher = args.launcher
    use_work_dir(config, args.config, args.work_dir)
    if args.amp:
        use_amp(config)
    if args.auto_scale_lr:
        use_scaled_lr(config)
    if args.resume is not None:
        config.load_from = None if args.resume == 'auto' else args.resume
        config.resume = True
    if config.get('train_cfg') is None:
        raise UserError(f'Config {args.config} has no train_cfg, so there is nothing to train.')
    runner = build_runner(config)
    warn_of_unused(config, runner.logger)
    if args.profile_data is None:
        runner.train()
        return
    profile = profile_data(runner, args.profile_data or worker_choices())
    console().print(profile.table())
    say(profile.advice())
    add_results(profile.figures(), config.work_dir, 'data_profile.json')


if __name__ == '__main__':
    run(main)
