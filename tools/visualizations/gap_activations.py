#!/usr/bin/env python
"""Draw the channel-wise averages that enter the attention, and measure their periodicity."""
from pathlib import Path

import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.utils.cli import run
from eca_mm.utils.results import write_results
from eca_mm.utils.terminal import printable, say, show_table
from eca_mm.visualization.command import add_models, check_picture, named_models, picture_parser
from eca_mm.visualization.gap_activations import collect_averages, draw_averages
from eca_mm.visualization.style import save_picture


def main() -> None:
    """Parse the command line, collect and draw."""
    parser = picture_parser(
        "Draw the channel-wise averages that enter the attention for some images and blocks (the "
        "paper's first version, Appendix A1), and measure by their autocorrelation how alike "
        'neighbouring channels are and whether there is a period.',
        'python tools/visualizations/gap_activations.py '
        'configs/demo/eca-mobilenet-v2_1xb32-10e_imagenet200.py epoch_10.pth '
        '--images goldfish.jpg car.jpg --blocks bottleneck_4_1 bottleneck_6_3',
        'gap_activations.png', 'device', 'cfg-options')
    add_models(parser)
    parser.add_argument('--images', nargs='+', required=True, metavar='I',
                        help='images, FILE or FILE=LABEL')
    parser.add_argument('--blocks', nargs='+', metavar='B',
                        help='blocks to draw, e.g. conv_4_2 (default: four, evenly spread)')
    args = parser.parse_args()
    check_picture(args)

    named = [image.partition('=')[::2] for image in args.images]
    paths = [path for path, _ in named]
    labels = [label or Path(path).stem for path, label in named]
    groups = [group for label, config, model in named_models(parser, args)
              for group in collect_averages(model, config, label, paths, args.blocks)]
    save_picture(draw_averages(groups, labels), args.out)

    several = len(args.models) > 2
    rows, figures = [], []
    for group in groups:
        for image, found in zip(labels, group.periodicity, strict=True):
            rows.append((*[group.model] * several, group.block, image,
                         f'{found.neighbours:+.2f} ({found.neighbours_p:.3f})',
                         found.period or '-', f'{found.peak:.2f} ({found.peak_p:.3f})'))
            figures.append(dict(
                model=group.model, block=group.block, image=image, neighbours=found.neighbours,
                neighbours_p=found.neighbours_p, period=found.period, peak=found.peak,
                peak_p=found.peak_p, agreement_between_images=group.agreement))
    show_table((*['model'] * several, 'block', 'image', 'neighbours (p)', 'period', 'peak (p)'),
               rows)
    for group in groups:
        say(f'{printable(group.model)} {group.block}: correlation between images '
            f'{group.agreement:.2f}')
    if args.json:
        write_results({'rows': figures}, args.json, args.overwrite)
    say(f'Picture: {args.out}')


if __name__ == '__main__':
    run(main)
