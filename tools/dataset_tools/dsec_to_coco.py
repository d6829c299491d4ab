#!/usr/bin/env python
"""Write annotation files for DSEC's frames, events and boxes."""
import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.datasets.event_frame_dsec import convert_dsec
from eca_mm.utils.cli import run
from eca_mm.utils.grammar import new_parser, positive
from eca_mm.utils.terminal import say


def main() -> None:
    """Parse the command line and convert."""
    parser = new_parser(
        "Write annotation files in COCO's format, with the events of each frame, for DSEC: from "
        'CSV labels (three classes) or from the tracks.npy of DSEC-Detection (eight). Frames are '
        'drawn in the view of the events where that was not done yet.',
        'python tools/dataset_tools/dsec_to_coco.py data/DSEC --labels labels_filtered_train.csv '
        'labels_filtered_val.csv labels_filtered_test.csv',
        'out', 'overwrite', out=dict(metavar='D', help='folder for the annotation files (default: '
                                     'annotations in ROOT)'))
    parser.add_argument('root', help='folder of the sequences, directly or in train/ and test/')
    parser.add_argument('--labels', nargs='+', default=[], metavar='CSV',
                        help='labels file,x1,y1,x2,y2,class; without them those of DSEC-Detection')
    parser.add_argument('--view', choices=('distorted', 'rectified'),
                        help='how frames and events are aligned (default: rectified with --labels, '
                        'else distorted)')
    parser.add_argument('--window-ms', type=positive, default=50, metavar='N',
                        help='milliseconds of events before a frame (default: 50)')
    parser.add_argument('--npz', metavar='FOLDER',
                        help='folder in ROOT of published voxel grids, used in place of events.h5')
    args = parser.parse_args()
    say(convert_dsec(**vars(args)))


if __name__ == '__main__':
    run(main)
