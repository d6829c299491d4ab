#!/usr/bin/env python
"""Write annotation files for the frames, events and boxes of PKU-DDD17-Car."""
import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.datasets.event_frame_ddd17 import convert_ddd17
from eca_mm.utils.cli import run
from eca_mm.utils.grammar import new_parser
from eca_mm.utils.terminal import say


def main() -> None:
    """Parse the command line and convert."""
    parser = new_parser(
        "Write annotation files in COCO's format, with the voxel grid of each frame, for "
        'PKU-DDD17-Car, and lists of the frames by day and by night.',
        'python tools/dataset_tools/ddd17_to_coco.py data/PKU-DDD17-Car DDD17_detection_labels',
        'out', 'overwrite', out=dict(metavar='D', help='folder for what is written (default: '
                                     'annotations in ROOT)'))
    parser.add_argument('root', help='folder with images/train and images/test_all')
    parser.add_argument('labels', help='folder of labels_filtered_train.csv, ..._test_all.csv, '
                        '..._test_day.csv and ..._test_night.csv')
    args = parser.parse_args()
    say(convert_ddd17(**vars(args)))


if __name__ == '__main__':
    run(main)
