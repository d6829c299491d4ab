#!/usr/bin/env python
"""Convert a checkpoint of timm's ECA networks."""
import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.checkpoints.converters.command import converter_parser, run_converter
from eca_mm.checkpoints.converters.timm import from_timm
from eca_mm.utils.cli import run


def main() -> None:
    """Parse the command line and convert."""
    parser = converter_parser(
        "Convert a checkpoint of timm's ECA-ResNets (ecaresnet26t, 50t, 50d, 101d, 200d, 269d, "
        'light, the pruned 50d and 101d, ecaresnext26t and 50t), or of its other ECA networks, '
        'which stay timm\'s (eca_resnet33ts, eca_resnext26ts, eca_vovnet39b, eca_botnext26ts_256, '
        'eca_halonext26ts, eca_nfnet_l0 to l3, nf_ecaresnet). The network is read from the '
        'shapes of the weights and its config is named, or written beside DST.',
        'python tools/model_converters/timm_to_eca_mm.py ecaresnet50d.pth '
        'checkpoints/eca-resnet50d.pth')
    run_converter(parser.parse_args(), from_timm)


if __name__ == '__main__':
    run(main)
