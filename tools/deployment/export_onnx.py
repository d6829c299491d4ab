#!/usr/bin/env python
"""Export a classifier, a detector or its feature maps, and check what was written."""
import argparse
import os
import tempfile
from pathlib import Path

from torch import nn

from eca_mm.analysis import build_model
from eca_mm.backbones.two_stream import input_channels
from eca_mm.deploy import fuse
from eca_mm.deploy.detection import DetectorModel
from eca_mm.deploy.detector_file import (
    LEAST_AGREEMENT,
    compare_detections,
    export_detector,
    generated_images,
    read_images,
)
from eca_mm.deploy.export import SUFFIXES, TensorModel, check_format, export, output_names
from eca_mm.deploy.metadata import load_weights, metadata_of
from eca_mm.deploy.verify import RUNTIMES, TOLERANCE, check_runtime, compare, shapes_to_try
from eca_mm.engine.config import load_config, scope
from eca_mm.utils.atomic_files import write_atomically
from eca_mm.utils.cli import run
from eca_mm.utils.errors import UserError
from eca_mm.utils.grammar import add_shared, new_parser, side
from eca_mm.utils.outputs import check_outputs
from eca_mm.utils.terminal import say, working


def main() -> None:
    """Export what the command line names."""
    parser = new_parser(
        'Write a classifier (images to logits), the backbone and neck of a detector (images to '
        'feature maps) or a whole detector (one image to boxes, with --detector) as one file for '
        'images of any size, run it beside the model and print the largest difference.',
        'python tools/deployment/export_onnx.py '
        'configs/eca_resnet/eca-resnet50-k3557_4xb64_in1k.py epoch_100.pth eca-resnet50.onnx '
        '--fuse',
        'config', 'checkpoint')
    parser.add_argument('out', help='file to write')
    parser.add_argument('--format', choices=SUFFIXES, default='onnx', help='default: onnx')
    parser.add_argument('--fuse', action='store_true',
                        help='export the inference form: normalisations folded, fewer passes')
    parser.add_argument('--backbone-only', action='store_true',
                        help='stop after the backbone: its maps, without neck or head')
    parser.add_argument('--detector', action='store_true',
                        help='export the whole detector, non-maximum suppression included: one '
                        'image to boxes, scores, labels and, if it has them, masks')
    parser.add_argument('--images', metavar='DIR',
                        help='with --detector: compare the detections on the pictures of this '
                        'folder, the first 8 by name (default: on noise)')
    parser.add_argument('--shape', nargs=2, type=side, metavar=('H', 'W'),
                        help='image size to trace with (default: 224 224 for classifiers, 256 320 '
                        'for detectors)')
    parser.add_argument('--fixed-size', action='store_true',
                        help='take images of that size only; for attentions that are tied to one')
    parser.add_argument('--runtime', choices=RUNTIMES, default='onnxruntime',
                        help='what runs the ONNX file for the comparison (default: onnxruntime)')
    add_shared(parser, 'cfg-options', 'overwrite', force=True)
    args = parser.parse_args()
    if args.detector and (args.backbone_only or args.fixed_size or args.format != 'onnx'):
        parser.error('--detector writes ONNX files for one image of any size: leave out '
                     '--backbone-only, --fixed-size and --format')
    if args.images and not args.detector:
        parser.error('--images needs --detector')

    check_outputs(args)
    check_format(args.format)
    if args.format == 'onnx':
        check_runtime(args.runtime)
    config = load_config(args.config, args.cfg_options)
    shape = tuple(args.shape or ((256, 320) if scope(config) == 'mmdet' else (224, 224)))
    built = build_model(config)
    metadata = metadata_of(config, load_weights(built, args.checkpoint))
    write = write_detector if args.detector else write_tensors
    with working('Exporting'), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f'model{SUFFIXES[args.format]}'
        write(args, built, path, shape, metadata)
        write_atomically(path.read_bytes(), args.out)
    say(f'Wrote {args.out}, {os.path.getsize(args.out) / 1e6:.1f} MB')


def write_tensors(args: argparse.Namespace, built: nn.Module, path: Path, shape: tuple[int, int],
                  metadata: dict[str, str]) -> None:
    """Write logits or feature maps, and make sure that they are those of the model."""
    model = TensorModel(built, args.backbone_only)
    exported = TensorModel(fuse(built), args.backbone_only) if args.fuse else model
    export(exported, path, args.format, shape, output_names(model, shape), args.fixed_size,
           metadata)
    differences = compare(model, path, args.format, shapes_to_try(
        shape, args.fixed_size, input_channels(built)), args.runtime)
    for found in differences:
        say(f'{" x ".join(map(str, found.shape))}: largest difference {found.largest:.2g}, '
            f'{found.relative:.2g} of the largest value')
    worst = max(found.relative for found in differences)
    # Written so that NaN is refused as well.
    if not worst <= TOLERANCE:
        raise UserError(f'The exported file differs from the model by {worst:.2g} (relative), more '
                        f'than the {TOLERANCE:g} that rounding explains: nothing was written.')


def write_detector(args: argparse.Namespace, built: nn.Module, path: Path, shape: tuple[int, int],
                   metadata: dict[str, str]) -> None:
    """Write a whole detector, and make sure that it finds what the model finds."""
    model = DetectorModel(built)
    images = (read_images(Path(args.images), built, 8) if args.images
              else generated_images(model, shape))
    export_detector(DetectorModel(fuse(built)) if args.fuse else model, path, shape, metadata)
    for found in compare_detections(model, path, images, args.runtime):
        say(f'{" x ".join(map(str, found.shape))}: {found.same} of {found.expected} detections '
            'are the same')
        if found.share < LEAST_AGREEMENT:
            raise UserError(f'The exported file finds {found.found} objects where the model finds '
                            f'{found.expected}, and only {found.same} agree: nothing was written.')


if __name__ == '__main__':
    run(main)
