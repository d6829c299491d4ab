"""The command line that all converters share."""
import argparse
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from eca_mm.checkpoints.keys import MisfitError
from eca_mm.compat import load_checkpoint_file
from eca_mm.utils.atomic_files import write_atomically
from eca_mm.utils.errors import UserError
from eca_mm.utils.grammar import add_shared, new_parser
from eca_mm.utils.outputs import check_outputs
from eca_mm.utils.terminal import console, printable, say, show_table, working
from eca_mm.version import __version__

from .conversion import Conversion


def converter_parser(description: str, example: str) -> argparse.ArgumentParser:
    """Start the argument parser of a converter.

    Args:
        description (str): What it does.
        example (str): A command line for the end of ``--help``.

    Returns:
        argparse.ArgumentParser: With the arguments that all of them have.
    """
    parser = new_parser(description, example)
    parser.add_argument('src', help='checkpoint to read; it is left as it is')
    parser.add_argument('dst', help='checkpoint to write (.pth, or .safetensors)')
    parser.add_argument('--dry-run', action='store_true',
                        help='show how every weight is renamed; write nothing')
    add_shared(parser, 'overwrite', force=True)
    return parser


def run_converter(args: argparse.Namespace, converter: Callable[[Mapping], Conversion]) -> None:
    """Convert a file, or show what would be converted.

    When none of our configs fits the weights, one that does is written beside them.

    Args:
        args (argparse.Namespace): What :func:`converter_parser`'s parser returns.
        converter (Callable): From what the file holds to the conversion.

    Raises:
        UserError: If the file cannot be used, or a file would be overwritten.
    """
    if args.dst.lower().endswith(('.py', '.yml', '.yaml', '.json')):
        # The config of the weights is written beside them under that name.
        raise UserError(f'{printable(args.dst)} has the ending of a config; name a checkpoint to '
                        'write, a .pth or .safetensors file.')
    if not args.dry_run:
        check_outputs(args, args.dst)
    try:
        with working('Converting'):
            conversion = converter(load_checkpoint_file(args.src))
    except MisfitError as error:
        console().print(error.report.table())
        raise
    beside = Path(args.dst).with_suffix('.py') if conversion.changes else None
    if beside is not None and not args.dry_run:
        check_outputs(args, args.dst, beside)
    if args.dry_run:
        show_table(('in the source', 'here', 'shape'), [
            (theirs, ours, ' x '.join(map(str, conversion.weights[ours].shape)))
            for theirs, ours in conversion.names.items()], title='weights')
    say(conversion.summary())
    for note in conversion.notes:
        say(note)
    meta = dict(eca_mm_version=__version__)
    if beside is not None:
        meta['config'] = beside.name
        say(f'No config of ours has exactly these layers; {beside} changes configs/'
            f'{conversion.base} to fit.')
    elif conversion.base is not None:
        meta['config'] = f'eca_mm::{conversion.base}'
        say(f'The config of these weights is configs/{conversion.base} ({meta["config"]}).')
    if args.dry_run:
        say('Nothing was written (--dry-run).')
        return
    if beside is not None:
        write_atomically(conversion.config_text().encode(), beside)
        say(f'Wrote {beside}')
    save_weights(conversion.weights, args.dst, meta)
    say(f'Wrote {args.dst}')


def save_weights(weights: Mapping[str, Tensor], path: str | Path, meta: Mapping) -> None:
    """Write weights, completely or not at all.

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
