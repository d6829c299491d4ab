#!/usr/bin/env python
"""Convert plain ResNet or MobileNetV2 weights of torchvision's naming."""
import argparse
import io
import os

import torch

import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.checkpoints.saving import write_atomically
from eca_mm.checkpoints.torchvision import from_torchvision
from eca_mm.compat import UserError, load_checkpoint_file
from eca_mm.engine.cli import run


def main() -> None:
    """Parse the command line and convert."""
    parser = argparse.ArgumentParser(
        description='Rename the weights of a plain ResNet or MobileNetV2 (torchvision, or the '
        'MobileNetV2 implementation before it) so that ECAResNet and ECAMobileNetV2 configs can '
        'start from them. The attention has no weights in such a file and is trained from scratch.',
        epilog='example: tools/model_converters/torchvision_to_eca_mm.py mobilenet_v2.pth '
        'checkpoints/mobilenet-v2.pth')
    parser.add_argument('src', help='checkpoint to read; it is left as it is')
    parser.add_argument('dst', help='checkpoint to write')
    parser.add_argument('--dry-run', action='store_true', help='check and report, write nothing')
    parser.add_argument('--force', action='store_true', help='replace DST if it exists')
    args = parser.parse_args()

    if os.path.realpath(args.src) == os.path.realpath(args.dst):
        raise UserError(f'{args.dst} is the file to read; name another one to write.')
    if os.path.lexists(args.dst) and not args.force and not args.dry_run:
        raise UserError(f'{args.dst} exists already; give --force to replace it, or another path.')
    weights = from_torchvision(load_checkpoint_file(args.src))
    head = sum(name.startswith('head.') for name in weights)
    print(f'All {len(weights)} weights match: {len(weights) - head} of the backbone, '
          f'{head or "none"} of the classifier.')
    if args.dry_run:
        return
    data = io.BytesIO()
    torch.save(dict(state_dict=weights), data)
    write_atomically(data.getvalue(), args.dst)
    print(f'Wrote {args.dst}')


if __name__ == '__main__':
    run(main)
