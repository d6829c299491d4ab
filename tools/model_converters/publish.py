#!/usr/bin/env python
"""Prepare a training checkpoint for publication."""
from collections.abc import Iterable

import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.checkpoints.publishing import publish, published_weights
from eca_mm.compat import load_checkpoint_file
from eca_mm.utils.cli import run
from eca_mm.utils.grammar import add_shared, new_parser
from eca_mm.utils.terminal import printable, say


def main() -> None:
    """Parse the command line and publish."""
    parser = new_parser(
        'Write the weights of a training checkpoint, averaged ones (EMA) where it has '
        'them, without optimizer and logs, under a name that holds their hash. Config, classes '
        'and versions stay in it.',
        'python tools/model_converters/publish.py work_dirs/k5/epoch_100.pth '
        'eca-resnet50-k5_4xb64_in1k.safetensors')
    parser.add_argument('src', help='checkpoint to read; it is not changed')
    parser.add_argument('dst', help='NAME.pth or NAME.safetensors; NAME-<hash> is written')
    parser.add_argument('--dry-run', action='store_true', help='print what is in it, write nothing')
    add_shared(parser, 'overwrite', force=True)
    args = parser.parse_args()

    checkpoint = load_checkpoint_file(args.src)
    weights, meta = published_weights(checkpoint)
    say(f'{len(weights)} weights ({meta["weights"]}), {_names(meta)}; left out: '
        f'{_names(set(checkpoint) - {"meta", "state_dict"} - set(weights)) or "none"}')
    if not args.dry_run:
        say(f'Wrote {publish(checkpoint, args.dst, args.overwrite)}')


def _names(keys: Iterable[str]) -> str:
    return printable(', '.join(sorted(map(str, keys))))


if __name__ == '__main__':
    run(main)
