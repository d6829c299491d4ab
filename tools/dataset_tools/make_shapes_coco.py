#!/usr/bin/env python
"""Make a small COCO-format data set of drawn shapes."""
import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.datasets.shapes import make_shapes
from eca_mm.utils.cli import run
from eca_mm.utils.grammar import new_parser
from eca_mm.utils.terminal import say


def main() -> None:
    """Parse the command line and write the data set."""
    parser = new_parser(
        'Make a small COCO-format data set of circles, squares and triangles with '
        'boxes and masks, the same for the same arguments.',
        'python tools/dataset_tools/make_shapes_coco.py data/shapes '
        '--num-train 400',
        'overwrite', overwrite='replace an earlier data set of shapes in the folder')
    parser.add_argument('out', help='folder to make; a non-empty one is refused')
    parser.add_argument('--num-train', type=int, default=400, help='training images (400)')
    parser.add_argument('--num-val', type=int, default=50, help='validation images (50)')
    parser.add_argument('--size', type=int, default=256, help='height and width in pixels (256)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the drawing (0)')
    args = parser.parse_args()
    out = make_shapes(**vars(args))
    say(f'Wrote {args.num_train} train and {args.num_val} val images to {out}')


if __name__ == '__main__':
    run(main)
