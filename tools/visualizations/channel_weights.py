#!/usr/bin/env python
"""Draw the mean channel weights of every block by class, the paper's Figure 6."""
import os
from dataclasses import asdict

import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.utils.cli import run
from eca_mm.utils.results import write_results
from eca_mm.utils.terminal import say, show_table
from eca_mm.visualization.channel_weights import (
    collect_channel_weights,
    draw_channel_weights,
    write_arrays,
)
from eca_mm.visualization.command import (
    add_models,
    check_picture,
    named_models,
    picture_parser,
    same_classes,
)
from eca_mm.visualization.gates import choose
from eca_mm.visualization.images import chosen_classes, labelled_images
from eca_mm.visualization.style import save_picture


def main() -> None:
    """Parse the command line, collect and draw."""
    parser = picture_parser(
        'Draw the mean channel weights of every block for some classes and over all, one model '
        'below the other (the paper\'s Figure 6); print how class-specific they are and write the '
        'figures to an .npz file beside the picture.',
        'python tools/visualizations/channel_weights.py '
        'configs/demo/eca-mobilenet-v2_1xb32-10e_imagenet200.py epoch_10.pth '
        '--data-root data/imagenet/val --out channel_weights.png', 'channel_weights.png',
        'device', 'cfg-options')
    add_models(parser)
    parser.add_argument('--data-root', metavar='D', help='folder with one folder of images for '
                        "each class (default: the config's validation set)")
    parser.add_argument('--classes', nargs='+', metavar='C', help='classes to draw, NAME or '
                        'NAME=LABEL (default: four, evenly spread)')
    parser.add_argument('--blocks', nargs='+', metavar='B',
                        help='blocks to draw, e.g. conv_4_2 (default: all)')
    parser.add_argument('--max-per-class', type=int, metavar='N',
                        help='use the first N images of each class (default: all)')
    args = parser.parse_args()
    if args.max_per_class is not None and args.max_per_class < 1:
        parser.error('--max-per-class expects a positive integer')
    archive = f'{os.path.splitext(args.out)[0]}.npz'
    check_picture(args, archive)

    named = named_models(parser, args)
    images = [labelled_images(config, args.data_root) for _, config, _ in named]
    check_picture(args, archive, inputs=[path for part in images for path in part.files()])
    same_classes([part.classes for part in images])
    chosen = chosen_classes(args.classes, images[0])
    models = [collect_channel_weights(model, part, label, args.max_per_class)
              for (label, _, model), part in zip(named, images, strict=True)]
    blocks = list(dict.fromkeys(name for model in models for name in model.blocks))

    save_picture(draw_channel_weights(models, choose(blocks, args.blocks), chosen), args.out)
    write_arrays(models, archive)
    figures = {model.label: model.specificity() for model in models}
    rows = {name: [figures[label].get(name) for label in figures] for name in blocks}
    show_table(('block', *figures), [
        (name, *('' if cell is None else f'{cell.between:.2e} / {cell.within:.2e} = '
                 f'{cell.ratio:.2f}' for cell in row)) for name, row in rows.items()],
        title='variance between classes / within classes', right=True)
    if args.json:
        write_results({label: {name: asdict(cell) for name, cell in measured.items()}
                       for label, measured in figures.items()}, args.json, args.overwrite)
    say(f'Picture: {args.out}\nFigures: {archive}')


if __name__ == '__main__':
    run(main)
