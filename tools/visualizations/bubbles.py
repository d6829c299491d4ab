#!/usr/bin/env python
"""Draw accuracy against parameters, with FLOPs as the area of a bubble, the paper's Figure 1."""
from dataclasses import asdict

import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.utils.cli import run
from eca_mm.utils.grammar import labels_for
from eca_mm.utils.results import write_results
from eca_mm.utils.terminal import progress, say, show_table
from eca_mm.visualization.bubbles import draw_bubbles, paper_bubbles, run_bubble
from eca_mm.visualization.command import check_picture, picture_parser
from eca_mm.visualization.runs import read_run, run_files
from eca_mm.visualization.style import save_picture


def main() -> None:
    """Parse the command line, collect the models and draw."""
    parser = picture_parser(
        "Draw top-1 accuracy against parameters, with multiply-adds as the area of a bubble (the "
        "paper's Figure 1). Accuracies are the paper's, parameters and multiply-adds those of the "
        'models here (docs/paper_tables.md); classifiers that you have trained come beside them.',
        'python tools/visualizations/bubbles.py --backbones ResNet-50 ResNet-101 --out bubbles.png',
        'bubbles.png')
    parser.add_argument('--backbones', nargs='*', metavar='B',
                        default=['ResNet-50', 'ResNet-101', 'ResNet-152'],
                        help="which of the paper's: ResNet-18 to 152, MobileNetV2, or nothing for "
                        'none (default: ResNet-50, 101 and 152)')
    parser.add_argument('--runs', nargs='+', default=[], metavar='WORK_DIR',
                        help='work directories of classifiers to add')
    parser.add_argument('--labels', nargs='+', metavar='L',
                        help='names of the runs in the picture (default: those of the folders)')
    parser.add_argument('--best', action='store_true',
                        help="take each run's best validation (default: the last one)")
    args = parser.parse_args()
    labels = labels_for(parser, args.labels, args.runs)
    if not args.backbones and not args.runs:
        parser.error('there is nothing to draw; name --backbones or --runs')
    check_picture(args, inputs=run_files(args.runs))

    runs = [read_run(path) for path in progress(args.runs, 'Reading')] if args.runs else []
    bubbles = paper_bubbles(args.backbones) + [
        run_bubble(part, label, args.best) for label, part in zip(labels, runs, strict=True)]
    save_picture(draw_bubbles(bubbles), args.out)
    show_table(('model', 'backbone', 'parameters', 'multiply-adds', 'top-1, %', 'from'), [
        (bubble.family, bubble.backbone, f'{bubble.params:,}', f'{bubble.flops / 1e9:.3f} G',
         f'{bubble.accuracy:.2f}', bubble.source) for bubble in bubbles])
    for note in (note for part in runs for note in part.notes):
        say(note)
    if args.json:
        write_results({'models': [asdict(bubble) for bubble in bubbles]}, args.json,
                      args.overwrite)
    say(f'Picture: {args.out}')


if __name__ == '__main__':
    run(main)
