"""Print a model's parameters, multiply-adds and activations; needs no weights and no data."""
import argparse
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from eca_mm.analysis import build_model, measure_complexity
from eca_mm.engine.config import load_config
from eca_mm.utils import cli
from eca_mm.utils.results import write_results


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='example: python tools/analysis_tools/complexity.py '
        'configs/eca_resnet/eca-resnet50-k3557_4xb64_in1k.py --json complexity.json',
        formatter_class=cli.HelpFormatter)
    parser.add_argument('config', help='config of a classifier or detector')
    parser.add_argument('--shape', nargs=2, type=cli.side, metavar=('H', 'W'),
                        help='input size in pixels (default: 224 224 for classifiers, 800 1280 '
                        'for detectors)')
    parser.add_argument('--json', metavar='F', help='write the figures to this JSON file too')
    parser.add_argument('--cfg-options', nargs='+', action=cli.KeyValues, metavar='K=V',
                        help='override entries of the config, e.g. '
                        'model.backbone.kernel_size=adaptive')
    args = parser.parse_args()

    model = build_model(load_config(args.config, args.cfg_options))
    cost = measure_complexity(model, args.shape and tuple(args.shape))

    print(f'{args.config}, one image of {cost.shape[0]} x {cost.shape[1]} pixels (H x W)')
    table = Table('', 'exactly', 'rounded')
    for name, value, rounded in (
            ('parameters', cost.params, f'{cost.params / 1e6:.3f} M'),
            ('trainable parameters', cost.trainable_params, f'{cost.trainable_params / 1e6:.3f} M'),
            ('FLOPs (multiply-adds)', cost.flops, f'{cost.flops / 1e9:.3f} G'),
            ('activations', cost.activations, f'{cost.activations / 1e6:.3f} M')):
        table.add_row(name, f'{value:,}', rounded)
    Console().print(table)
    if args.json:
        write_results({'config': args.config, **asdict(cost)}, args.json)


if __name__ == '__main__':
    cli.run(main)
