#!/usr/bin/env python
"""Measure the speed of networks with attention relative to the same networks without it."""
import argparse

import torch

from eca_mm.benchmark.modes import MODES, run_mode
from eca_mm.benchmark.steps import DTYPES, MEMORY_FORMATS, Settings
from eca_mm.utils.cli import run
from eca_mm.utils.grammar import new_parser, positive
from eca_mm.utils.outputs import check_outputs
from eca_mm.utils.results import write_results
from eca_mm.utils.terminal import progress, say


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = new_parser(
        __doc__, 'python tools/analysis_tools/benchmark.py --mode infer --batch 1 '
        '--models eca_resnet50_fused timm_ecaresnet50_folded --json infer.json',
        'device', 'json', 'overwrite')
    add = parser.add_argument
    add('--mode', choices=MODES, default='infer', help='infer, train: classifiers; detector: '
        'whole test steps; paper: the speeds of Table 3; scaling: growth with N, C, H, W; '
        'roofline: stages beside what memory and arithmetic allow; count: operations and bytes of '
        'backbones on an accelerator, exact and without one; events: voxel grids; grid: our '
        'inference form beside the form as trained, for many batches, sizes and 1 and all threads '
        '(default: infer)')
    add('--train', action='store_true', help='count: a training step rather than inference')
    add('--amp', action='store_true', help='count: with mixed precision (fp16)')
    add('--models', nargs='+', metavar='M', help='instead of the default: networks '
        '(eca_resnet50_fused, eca_mobilenet_v2 ...) or configs (a.py, a.py:fused); rows of Table 3 '
        'for paper; attentions for scaling; one network for roofline; bare names (eca_resnet50) '
        'for grid; numpy, torch, numpy_rectified, torch_rectified for events')
    add('--batch', type=positive, help='images (default: 16; training 8; detectors 1; '
        'count 64; grid 1 to 32); events: millions of them (default: 1)')
    add('--shape', nargs=2, type=positive, metavar=('H', 'W'), help='input size in pixels '
        '(default: 224 224; detectors 800 1344; scaling: of the map, 56 56; events 480 640; grid '
        'also 320 320 and 800 1344)')
    add('--dtype', choices=DTYPES, default='fp32', help='training and detectors: mixed precision')
    add('--memory-format', choices=MEMORY_FORMATS, default='contiguous')
    add('--threads', type=positive, help="of the CPU (default: torch's choice)")
    add('--compile', action='store_true', help='use torch.compile and count its graph breaks')
    add('--all-levels', action='store_true', help='end with the maps of all stages, not scores')
    add('--rounds', type=positive, default=9, help='each measures everything once (default: 9)')
    add('--min-time', type=float, metavar='S', help='more rounds if the fastest would be measured '
        'for less than this many seconds (default: 3; scaling 0.3, roofline and grid 1)')
    add('--chart', metavar='F.png', help='write a bar chart')
    args = parser.parse_args()
    if args.chart and not args.chart.endswith('.png'):
        parser.error(f'--chart must end in .png, but got {args.chart}')
    if args.mode != 'count' and (args.train or args.amp):
        parser.error('--train and --amp belong to --mode count; use --mode train and --dtype')
    if args.amp:
        args.dtype = 'fp16'
    return args


def main() -> None:
    """Measure what the command line asks for."""
    args = parse()
    torch.set_num_threads(args.threads or torch.get_num_threads())
    check_outputs(args, *filter(None, [args.chart]))
    defaults = MODES[args.mode]
    settings = Settings(
        args.mode == 'train' or args.train, args.batch or defaults.batch,
        tuple(args.shape or defaults.shape),
        args.dtype, args.memory_format, args.compile, args.device, args.all_levels)

    report = run_mode(
        args.mode, args.models, settings, rounds=args.rounds,
        min_time=defaults.min_time if args.min_time is None else args.min_time,
        progress=lambda turns, total=None: progress(turns, 'Measuring', total))
    say(report.markdown())
    if args.json:
        write_results(report.figures, args.json, args.overwrite)
    if args.chart:
        report.draw(args.chart)


if __name__ == '__main__':
    run(main)
