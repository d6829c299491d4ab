#!/usr/bin/env python
"""Convert a checkpoint that the authors of ECA-Net published."""
import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.checkpoints.converters.command import converter_parser, run_converter
from eca_mm.checkpoints.converters.ecanet import from_ecanet
from eca_mm.utils.cli import run


def main() -> None:
    """Parse the command line and convert."""
    parser = converter_parser(
        "Convert a checkpoint of ECA-Net's authors: an ECA-ResNet or ECA-MobileNetV2 classifier, "
        'or a Faster R-CNN, Mask R-CNN or RetinaNet of mmdetection 1.x. Depth, kernel sizes and '
        'classes are read from the weights, and the config is named, or written beside DST.',
        'python tools/model_converters/ecanet_to_eca_mm.py eca_resnet50_k3557.pth.tar '
        'checkpoints/eca-resnet50-k3557.pth')
    run_converter(parser.parse_args(), from_ecanet)


if __name__ == '__main__':
    run(main)
