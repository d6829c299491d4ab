#!/usr/bin/env python
"""Run a tool of MMDetection or MMPretrain with eca_mm imported first."""
import argparse

from eca_mm.compat.other_tools import PACKAGES, run_other_tool
from eca_mm.utils.cli import run
from eca_mm.utils.grammar import new_parser


def main() -> None:
    """Run the tool named on the command line."""
    parser = new_parser(
        __doc__ + ' Configs may be named as eca_mm::FOLDER/NAME.py.',
        'python tools/run.py mmdet browse_dataset configs/demo/'
        'mask-rcnn_eca-r18-w32_fpn_1xb4-750it_shapes.py --output-dir browsed --not-show')
    parser.add_argument('package', choices=PACKAGES, help='package of the tool')
    parser.add_argument('tool', nargs='?', help='its name, e.g. train, browse_dataset, '
                        'analysis_tools/confusion_matrix.py; without one they are listed')
    parser.add_argument('arguments', nargs=argparse.REMAINDER, help='arguments of the tool')
    args = parser.parse_args()
    run_other_tool(args.package, args.tool, args.arguments)


if __name__ == '__main__':
    run(main)
