#!/usr/bin/env python
"""Convert plain ResNet or MobileNetV2 weights of torchvision's naming."""
import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.checkpoints.converters.command import converter_parser, run_converter
from eca_mm.checkpoints.converters.torchvision import from_torchvision
from eca_mm.utils.cli import run


def main() -> None:
    """Parse the command line and convert."""
    parser = converter_parser(
        'Rename the weights of a plain ResNet or MobileNetV2 (of torchvision, timm, MMPretrain, '
        'MMDetection, or the MobileNetV2 implementation before torchvision) so that ECA-ResNet and '
        'ECA-MobileNetV2 configs can start from them. The attention has no weights in such a file '
        'and is trained from scratch.',
        'python tools/model_converters/torchvision_to_eca_mm.py mobilenet_v2.pth '
        'checkpoints/mobilenet-v2.pth')
    run_converter(parser.parse_args(), from_torchvision)


if __name__ == '__main__':
    run(main)
