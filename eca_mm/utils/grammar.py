"""The arguments that all command lines share: their names, order and help."""
import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from mmengine.config import DictAction

from .errors import UserError
from .terminal import printable, printable_lines, say

# How `python -m eca_mm` or `eca-mm` called the tool; None where its own file was run.
called_as: str | None = None


class KeyValues(DictAction):
    """``K=V ...`` arguments as mmengine reads them; anything else is misuse of the command."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: Any, option_string: str | None = None) -> None:
        """Add the pairs to the namespace."""
        try:
            super().__call__(parser, namespace, values, option_string)
        except (ValueError, AssertionError):
            parser.error(f'{option_string} expects KEY=VALUE pairs, but got '
                         f'{printable(" ".join(values))}')


class _Force(argparse.Action):
    """The former name of ``--overwrite``, to be removed in the next minor version."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: Any, option_string: str | None = None) -> None:
        namespace.overwrite = True
        say('--force is deprecated and will be removed in the next version; use --overwrite.',
            error=True)


class HelpFormatter(argparse.HelpFormatter):
    """argparse's formatter, but an example stays on one line so that it can be copied.

    argparse also breaks lines at hyphens, which the names of our configs are full of.
    """

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith('example: '):
            return text
        return super()._fill_text(text, width, indent)


class _Parser(argparse.ArgumentParser):
    """argparse's parser, but safe for file names that a shell pattern put on the command line."""

    def error(self, message: str) -> NoReturn:
        super().error(printable_lines(message))


# Every argument that more than one tool has, in the order of their help.
_SHARED: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    'config': (('config', ), dict(
        help='config file, or the name of one in a package: eca_mm::FOLDER/NAME.py')),
    'checkpoint': (('checkpoint', ), dict(help='checkpoint file')),
    'work-dir': (('--work-dir', ), dict(
        metavar='D', help='for logs and checkpoints (default: work_dir of the config, or '
        'work_dirs/<config name>)')),
    'launcher': (('--launcher', ), dict(
        choices=('none', 'pytorch', 'slurm', 'mpi'), default='none',
        help='what started the processes of a distributed run')),
    'device': (('--device', ), dict(
        default='cpu', metavar='D', help='cpu, cuda, cuda:1 ... (default: cpu)')),
    'cfg-options': (('--cfg-options', ), dict(
        nargs='+', action=KeyValues, metavar='K=V',
        help='override entries of the config, e.g. train_dataloader.batch_size=4')),
    'out': (('--out', ), dict(metavar='F')),
    'json': (('--json', ), dict(metavar='F', help='write the figures to this JSON file too')),
    'overwrite': (('--overwrite', ), dict(
        action='store_true', help='replace what is there already (never what the command reads)')),
}


def new_parser(description: str, example: str, *shared: str, force: bool = False,
               **changes: str | dict[str, Any]) -> argparse.ArgumentParser:
    """Start the argument parser of a tool.

    Args:
        description (str): What the tool does.
        example (str): A command line for the end of ``--help``: ``python tools/TOOL.py ...``, with
            configs as they are called in a checkout. It is shown as the tool was called, so that
            it also runs from an installed package.
        *shared (str): Which of the shared arguments it has: ``'config'``, ``'checkpoint'``,
            ``'work-dir'``, ``'launcher'``, ``'device'``, ``'cfg-options'``, ``'out'``, ``'json'``
            and ``'overwrite'``. A tool adds its own by ``add_argument`` as usual; positional ones
            that stand before or between these, by :func:`add_shared`.
        force (bool): Whether ``--force``, the former name of ``--overwrite``, is still understood.
            Defaults to False.
        **changes (str | dict): The help of a shared argument where it differs, or
            other arguments of ``add_argument``.

    Returns:
        argparse.ArgumentParser: To which the tool adds its own arguments.
    """
    parser = _Parser(
        prog=_program(example), description=description,
        epilog=f'example: {shown_example(example)}', formatter_class=HelpFormatter)
    add_shared(parser, *shared, force=force, **changes)
    return parser


def add_shared(parser: argparse.ArgumentParser, *shared: str, force: bool = False,
               **changes: str | dict[str, Any]) -> None:
    """Add arguments that tools have in common, in their fixed order.

    Args:
        parser (argparse.ArgumentParser): Receives the arguments.
        *shared (str): As in :func:`new_parser`.
        force (bool): As in :func:`new_parser`.
        **changes (str | dict): As in :func:`new_parser`.
    """
    unknown = set(shared) - set(_SHARED)
    if unknown:
        raise ValueError(f'{unknown} is not among the shared arguments {list(_SHARED)}.')
    options = parser.add_argument_group('options that all tools share')
    for name, (flags, defaults) in _SHARED.items():
        if name in shared:
            change = changes.get(name.replace('-', '_'), {})
            change = dict(help=change) if isinstance(change, str) else change
            group = options if flags[0].startswith('-') else parser
            group.add_argument(*flags, **{**defaults, **change})
    if 'launcher' in shared:
        # torch.distributed.launch, which mim uses, adds it; the environment says the same.
        parser.add_argument('--local-rank', '--local_rank', type=int, help=argparse.SUPPRESS)
    if force:
        parser.add_argument('--force', action=_Force, nargs=0, default=False, dest='overwrite',
                            help=argparse.SUPPRESS)


def shown_example(example: str) -> str:
    """Turn an example into one that runs where and how the tool was called.

    Args:
        example (str): ``python tools/TOOL.py ARGUMENTS`` with ``configs/...`` as in a checkout.

    Returns:
        str: The same in a checkout; elsewhere with the program's name and ``eca_mm::...``.
    """
    program, rest = _program(example), example.partition('.py')[2]
    if f'{program}{rest}' == example:
        return example
    return program + rest.replace(' configs/', ' eca_mm::')


def _program(example: str) -> str:
    """What to type to run the tool again."""
    own = f'{example.partition(".py")[0]}.py'
    script = sys.argv[0]
    if called_as is not None:
        return called_as
    # Within another program (such as a test) there is nothing better to show.
    if Path(script).name != Path(own).name or _is_own(own.removeprefix('python '), script):
        return own
    return f'python {shlex.quote(script)}'


def _is_own(tool: str, script: str) -> bool:
    try:
        return os.path.samefile(tool, script)
    except OSError:
        return False


def side(text: str) -> int:
    """Read one side of an image from the command line: a positive number of pixels."""
    value = int(text) if text.isdecimal() else 0
    if not value:
        raise argparse.ArgumentTypeError(
            f'expects two positive integers, but got {printable(text)!r}')
    return value


def positive(text: str) -> int:
    """Read a positive integer from the command line."""
    value = int(text) if text.isdecimal() else 0
    if not value:
        raise argparse.ArgumentTypeError(f'expects a positive integer, but got {printable(text)!r}')
    return value


def check_device(device: str) -> str:
    """Make sure, before any work is done, that the machine has a device.

    Args:
        device (str): ``cpu``, ``cuda``, ``cuda:1`` ...

    Returns:
        str: The same.

    Raises:
        UserError: If there is no such device here.
    """
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, ValueError, ImportError) as error:
        if isinstance(error, torch.cuda.OutOfMemoryError):
            raise
        has = torch.cuda.device_count()
        there = f'{has} GPU{"s" if has > 1 else ""}' if has else 'no GPU that PyTorch can use'
        raise UserError(f'--device {printable(device)} cannot be used: this machine has {there}; '
                        'leave --device out to run on the CPU.') from error
    return device


def labels_for(parser: argparse.ArgumentParser, labels: Sequence[str] | None,
               paths: Sequence[str]) -> list[str]:
    """Names for things that come from files or folders.

    Args:
        parser (argparse.ArgumentParser): Exits with an error if the number of labels is wrong.
        labels (Sequence[str], optional): What the command line says.
        paths (Sequence[str]): The files or folders; without labels their names serve.

    Returns:
        list[str]: One different label each.
    """
    if labels is None:
        names = [Path(path).resolve().stem for path in paths]
        # Equal names are numbered.
        return [name if names.count(name) == 1 else f'{name} ({i + 1})'
                for i, name in enumerate(names)]
    if len(labels) != len(paths) or len(set(labels)) != len(labels):
        parser.error(f'--labels expects {len(paths)} different names')
    return list(labels)
