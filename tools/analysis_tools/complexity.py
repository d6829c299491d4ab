#!/usr/bin/env python
"""Print a model's parameters, multiply-adds and activations; needs no weights and no data."""
from dataclasses import asdict

from eca_mm.analysis import build_model, measure_complexity
from eca_mm.engine.config import load_config
from eca_mm.utils.cli import run
from eca_mm.utils.grammar import new_parser, side
from eca_mm.utils.outputs import check_outputs
from eca_mm.utils.results import write_results
from eca_mm.utils.terminal import say, show_table, working


def main() -> None:
    """Measure what the command line asks for."""
    parser = new_parser(
        __doc__, 'python tools/analysis_tools/complexity.py '
        'configs/eca_resnet/eca-resnet50-k3557_4xb64_in1k.py --json complexity.json',
        'config', 'cfg-options', 'json', 'overwrite')
    parser.add_argument('--shape', nargs=2, type=side, metavar=('H', 'W'),
                        help='input size in pixels (default: 224 224 for classifiers, 800 1280 '
                        'for detectors)')
    args = parser.parse_args()
    check_outputs(args)

    with working('Counting'):
        model = build_model(load_config(args.config, args.cfg_options))
        cost = measure_complexity(model, args.shape and tuple(args.shape))

    say(f'{args.config}, one image of {cost.shape[0]} x {cost.shape[1]} pixels (H x W)')
    show_table(('', 'exactly', 'rounded'), [
        ('parameters', f'{cost.params:,}', f'{cost.params / 1e6:.3f} M'),
        ('trainable parameters', f'{cost.trainable_params:,}',
         f'{cost.trainable_params / 1e6:.3f} M'),
        ('FLOPs (multiply-adds)', f'{cost.flops:,}', f'{cost.flops / 1e9:.3f} G'),
        ('activations', f'{cost.activations:,}', f'{cost.activations / 1e6:.3f} M')])
    if args.json:
        write_results({'config': args.config, **asdict(cost)}, args.json, args.overwrite)


if __name__ == '__main__':
    run(main)
