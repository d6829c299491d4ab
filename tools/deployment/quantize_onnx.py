#!/usr/bin/env python
"""Quantise an exported classifier to 8-bit integers and compare it with what it was."""
import os
import tempfile
from pathlib import Path

from eca_mm.deploy.quantize import FolderImages, check_installed, compare_precisions, quantize
from eca_mm.deploy.verify import RUNTIMES, check_runtime
from eca_mm.engine.config import load_config
from eca_mm.utils.atomic_files import write_atomically
from eca_mm.utils.cli import run
from eca_mm.utils.errors import UserError
from eca_mm.utils.grammar import add_shared, new_parser, positive
from eca_mm.utils.outputs import check_outputs
from eca_mm.utils.results import write_results
from eca_mm.utils.terminal import say, working


def main() -> None:
    """Quantise what the command line names."""
    parser = new_parser(
        'Quantise a classifier that export_onnx has written, with the value ranges of the '
        'pictures in a folder, and print how often both choose the same class and how fast they '
        'are.',
        'python tools/deployment/quantize_onnx.py '
        'configs/eca_resnet/eca-resnet50-k3557_4xb64_in1k.py classifier.onnx '
        'classifier-int8.onnx --calibration data/imagenet/train --num-images 100',
        'config')
    parser.add_argument('model', help='ONNX file in single precision')
    parser.add_argument('out', help='file to write')
    parser.add_argument('--calibration', required=True, metavar='DIR',
                        help='folder of pictures, sub-folders included')
    parser.add_argument('--evaluation', metavar='DIR',
                        help='folder of the pictures for the comparison (default: other ones of '
                        'the calibration folder)')
    parser.add_argument('--num-images', type=positive, default=200, metavar='N',
                        help='pictures for calibration, and for the comparison (default: 200)')
    parser.add_argument('--min-agreement', type=float, default=.97, metavar='A',
                        help='write nothing if fewer than this share of the pictures get the same '
                        'class (default: 0.97)')
    parser.add_argument('--max-error', type=float, default=.02, metavar='E',
                        help='difference of the logits, relative to them, that rounding maps and '
                        'weights may make; what makes the most stays in single precision (default: '
                        '0.02; 1 rounds all)')
    parser.add_argument('--reduce-range', action='store_true',
                        help='weights of 7 bits, for x86 processors without VNNI')
    parser.add_argument('--threads', type=positive, default=0, metavar='N',
                        help="threads for the comparison (default: the runtime's choice)")
    parser.add_argument('--runtime', choices=RUNTIMES, default='onnxruntime',
                        help='what runs the ONNX file for the comparison (default: onnxruntime)')
    add_shared(parser, 'cfg-options', 'json', 'overwrite')
    args = parser.parse_args()
    for option in ('min_agreement', 'max_error'):
        value = getattr(args, option)
        if not 0 <= value <= 1:
            parser.error(f'--{option.replace("_", "-")} is {value:g}, but must be between 0 and 1')

    check_outputs(args)
    check_installed()
    check_runtime(args.runtime)
    config = load_config(args.config, args.cfg_options)
    calibration = FolderImages(config, args.calibration)
    evaluation = FolderImages(config, args.evaluation) if args.evaluation else calibration
    with working('Quantising'), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'int8.onnx'
        rounded = quantize(Path(args.model), path, [
            calibration[i] for i in calibration.spread(args.num_images)], args.reduce_range,
            args.max_error)
        say(f'{rounded.in_float} of {rounded.maps} maps stay in single precision')
        found = compare_precisions(Path(args.model), path, [
            evaluation[i] for i in evaluation.spread(args.num_images, offset=1)],
            args.threads, args.runtime)
        say(f'{found.agreeing} of {found.images} pictures get the same class '
            f'({found.agreement:.1%})')
        say(f'{found.float_ms:.1f} ms a picture in single precision, {found.int8_ms:.1f} ms in '
            f'integers: {found.float_ms / found.int8_ms:.2f} times the speed')
        if found.agreement < args.min_agreement:
            raise UserError(f'Only {found.agreement:.1%} of the pictures get the same class, less '
                            f'than --min-agreement {args.min_agreement:g}: nothing was written.')
        write_atomically(path.read_bytes(), args.out)
    if args.json:
        write_results(dict(
            images=found.images, agreement=found.agreement, float_ms=found.float_ms,
            int8_ms=found.int8_ms, maps=rounded.maps, maps_in_float=rounded.in_float),
            args.json, args.overwrite)
    say(f'Wrote {args.out}, {os.path.getsize(args.out) / 1e6:.1f} MB')


if __name__ == '__main__':
    run(main)
