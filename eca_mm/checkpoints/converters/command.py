"""What the converters' command lines share."""
import argparse
import io
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from eca_mm.checkpoints.keys import MisfitError
from eca_mm.compat import load_checkpoint_file
from eca_mm.utils.atomic_files import write_atomically
from eca_mm.utils.errors import UserError
from eca_mm.utils.help import HelpFormatter
from eca_mm.version import __version__

from .conversion import Conversion


def new_parser(description: str, example: str) -> argparse.ArgumentParser:
    """Start the argument parser of a converter.

    Args:
        description (str): What it does.
        example (str): A command line for the end of ``--help``.

    Returns:
        argparse.ArgumentParser: With the arguments that all of them have.
    """
    parser = argparse.ArgumentParser(
        description=description, epilog=f'example: {example}', formatter_class=HelpFormatter)
    parser.add_argument('src', help='checkpoint to read; it is left as it is')
    parser.add_argument('dst', help='checkpoint to write (.pth, or .safetensors)')
    parser.add_argument('--dry-run', action='store_true',
                        help='show how every weight is renamed; write nothing')
    parser.add_argument('--force', action='store_true', help='replace DST if it exists')
    return parser


def run_converter(args: argparse.Namespace, converter: Callable[[Mapping], Conversion]) -> None:
    """Convert a file, or show what would be converted.

    When none of our configs fits the weights, one that does is written beside them.

    Args:
        args (argparse.Namespace): What :func:`new_parser`'s parser returns.
        converter (Callable): From what the file holds to the conversion.

    Raises:
        UserError: If the file cannot be used, or a file would be overwritten.
    """
    check_target(args.src, args.dst, args.force or args.dry_run)
    checkpoint = load_checkpoint_file(args.src)
    try:
        conversion = converter(checkpoint)
    except MisfitError as error:
        _show(error.report.table())
        raise
    beside = Path(args.dst).with_suffix('.py') if conversion.changes else None
    if beside is not None:
        check_target(args.src, beside, args.force or args.dry_run)
    if args.dry_run:
        _show(_mapping(conversion))
    print(conversion.summary())
    for note in conversion.notes:
        print(note)
    meta = dict(eca_mm_version=__version__)
    if beside is not None:
        meta['config'] = beside.name
        print(f'No config of ours has exactly these layers; {beside} changes configs/'
              f'{conversion.base} to fit.')
    elif conversion.base is not None:
        meta['config'] = f'eca_mm::{conversion.base}'
        print(f'The config of these weights is configs/{conversion.base} ({meta["config"]}).')
    if args.dry_run:
        print('Nothing was written (--dry-run).')
        return
    if beside is not None:
        write_atomically(conversion.config_text().encode(), beside)
        print(f'Wrote {beside}')
    save_weights(conversion.weights, args.dst, meta)
    print(f'Wrote {args.dst}')


def check_target(source: str, target: str | Path, overwrite: bool) -> None:
    """Make sure, before the work is done, that no file gets lost.

    Args:
        source (str): The file that is read.
        target (str | Path): The file to write.
        overwrite (bool): Whether another file may be there.

    Raises:
        UserError: If the target is the source, or exists.
    """
    if os.path.realpath(source) == os.path.realpath(target):
        raise UserError(f'{target} is the file to read; name another one to write.')
    if os.path.lexists(target) and not overwrite:
        raise UserError(f'{target} exists already; give --force to replace it, or another path.')


def save_weights(weights: Mapping[str, Tensor], path: str | Path, meta: Mapping) -> None:
    """Write weights, whole or not at all.

    Args:
        weights (Mapping[str, Tensor]): A state dict.
        path (str | Path): ``.safetensors`` for that format; else what mmengine reads.
        meta (Mapping): What to say about them; plain values.

    Raises:
        OSError: If the file cannot be written.
    """
    # Copies: a file of views would hold all that they are views of.
    weights = {name: value.detach().clone().contiguous() for name, value in weights.items()}
    write_atomically(serialise(weights, meta, str(path).endswith('.safetensors')), path)


def serialise(weights: Mapping[str, Tensor], meta: Mapping, safetensors: bool = False) -> bytes:
    """The bytes of a checkpoint.

    Args:
        weights (Mapping[str, Tensor]): A state dict of contiguous tensors.
        meta (Mapping): What to say about them; plain values.
        safetensors (bool): Whether to write that format instead of torch's.

    Returns:
        bytes: The same for the same weights.
    """
    if safetensors:
        return safetensors_bytes(dict(weights), {key: str(value) for key, value in meta.items()})
    data = io.BytesIO()
    torch.save(dict(meta=dict(meta), state_dict=dict(weights)), data)
    return data.getvalue()


def _show(table: Table) -> None:
    # Where nobody looks at a terminal, no name should be cut to fit one.
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _mapping(conversion: Conversion) -> Table:
    table = Table('in the source', 'here', 'shape', title='weights')
    for theirs, ours in conversion.names.items():
        table.add_row(theirs, ours, ' x '.join(map(str, conversion.weights[ours].shape)))
    return table
