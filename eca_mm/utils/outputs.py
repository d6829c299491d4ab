"""Whether what a tool makes may be written where it should go."""
import argparse
import os
import weakref
from collections.abc import Iterable

from .errors import UserError
from .terminal import printable

_IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.gif', '.npy', '.npz')
# What the command in progress writes, as long as its arguments exist.
_command: tuple[weakref.ref, list] | None = None


def check_output(path: str | os.PathLike, overwrite: bool,
                 inputs: Iterable[str | os.PathLike] = ()) -> None:
    """Make sure, before the work is done, that its result can be written and nothing gets lost.

    Args:
        path (str | os.PathLike): A file or a folder to write.
        overwrite (bool): Whether a file or a non-empty folder there may be replaced.
        inputs (Iterable[str | os.PathLike]): What the same command reads. No option lets a tool
            write over that, by whatever name, link or hard link it is reached.

    Raises:
        UserError: If something is there already, the place cannot be written to, or it is what the
            command reads.
    """
    path = os.fspath(path)
    refuse_inputs(path, inputs)
    if os.path.lexists(path) and not overwrite and not (os.path.isdir(path)
                                                        and not os.listdir(path)):
        raise UserError(f'{printable(path)} exists already; give --overwrite to replace it, or '
                        'another path.')
    folder = os.path.dirname(os.path.abspath(path))
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if not (os.path.isdir(folder) and os.access(folder, os.W_OK)):
        raise UserError(f'{printable(path)} cannot be written, since {printable(folder)} is not a '
                        'folder that can be written to; choose another path.')


def refuse_inputs(path: str | os.PathLike, inputs: Iterable[str | os.PathLike]) -> None:
    """Make sure that an output is not what the same command reads.

    Args:
        path (str | os.PathLike): A file or a folder to write.
        inputs (Iterable[str | os.PathLike]): Files and folders that are read.

    Raises:
        UserError: Naming the two.
    """
    for source in inputs:
        if same_file(path, source):
            kind = 'folder' if os.path.isdir(source) else 'file'
            also = '' if os.fspath(path) == os.fspath(source) else f' ({printable(source)})'
            raise UserError(f'{printable(path)} is the {kind} to read{also}, which no option lets '
                            'this command write over; choose another path.')


def check_targets(targets: Iterable[str], inputs: Iterable[str]) -> None:
    """Make sure that files to be written into a folder replace no input, by whatever way.

    Args:
        targets (Iterable[str]): The files.
        inputs (Iterable[str]): Files that are read.

    Raises:
        UserError: If one is an input, or a link, which would be written through.
    """
    known = {_identity(path): path for path in inputs}
    known.pop(None, None)
    for target in targets:
        identity = _identity(target)
        if identity in known:
            refuse_inputs(target, [known[identity]])
        if os.path.islink(target):
            raise UserError(f'{printable(target)} is a link to '
                            f'{printable(os.path.realpath(target))}, which would be written over; '
                            'remove it, or choose another folder.')


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def keep_data(paths: Iterable[str | os.PathLike]) -> None:
    """Refuse to continue with a command that would write over data.

    Reading a config leads to it, so no tool has to know which files a config names.

    Args:
        paths (Iterable[str | os.PathLike]): Files and folders that the command reads besides those
            on its command line.

    Raises:
        UserError: If an output registered by :func:`check_outputs` is one of the files, or a
            file in one of the folders.
    """
    if _command is None or _command[0]() is None:
        return
    paths = list(paths)
    for output in _command[1]:
        refuse_inputs(output, paths)
        refuse_contents(output, paths)


def refuse_contents(path: str | os.PathLike, folders: Iterable[str | os.PathLike]) -> None:
    """Make sure that an output does not replace a file in a folder of data.

    Args:
        path (str | os.PathLike): A file to write.
        folders (Iterable[str | os.PathLike]): Folders that are read. In one that the working
            directory lies in, only images and arrays count.

    Raises:
        UserError: Naming the two.
    """
    if not os.path.isfile(path):
        return
    real, here = os.path.realpath(path), os.path.realpath('.')
    for folder in folders:
        root = os.path.realpath(folder)
        if os.path.isdir(root) and _is_below(real, root) and (
                not _is_below(here, root) or real.lower().endswith(_IMAGES)):
            raise UserError(f'{printable(path)} is a file of {printable(folder)}, a folder to '
                            'read, which no option lets this command write over; choose another '
                            'path.')


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ''))


def same_file(first: str | os.PathLike, second: str | os.PathLike) -> bool:
    """Whether two paths lead to one file or folder, also by links, hard links or other spelling."""
    try:
        return os.path.samefile(first, second)
    except (OSError, ValueError):
        return os.path.realpath(first) == os.path.realpath(second)


def check_outputs(args: argparse.Namespace, *more: str | os.PathLike,
                  inputs: Iterable[str | os.PathLike] = ()) -> None:
    """Check everything that a command line asks to be written.

    Args:
        args (argparse.Namespace): With ``overwrite`` and perhaps ``out`` and ``json``. Every other
            argument that names a file or a folder names an input.
        *more (str | os.PathLike): Further files or folders to be written.
        inputs (Iterable[str | os.PathLike]): Further files that are read.

    Raises:
        UserError: If one exists already, cannot be written, is an input, or is named twice. What a
            config names is compared when the config is read, see :func:`keep_data`.
    """
    global _command
    values = vars(args)
    outputs = [*filter(None, (values.get('out'), values.get('json'))), *more]
    written = {os.fspath(path) for path in more}
    named = [path for key, value in values.items() if key not in ('out', 'json')
             for path in _paths(value) if os.fspath(path) not in written]
    sources = [*named, *inputs]
    for index, path in enumerate(outputs):
        check_output(path, args.overwrite, sources)
        if any(same_file(path, other) for other in outputs[:index]):
            raise UserError(f'{printable(path)} is named for two outputs; give each a path of its '
                            'own.')
    _command = weakref.ref(args), outputs


def _paths(value: object) -> list[str]:
    """Files and folders that an argument names: also in lists, as FILE=LABEL and as FILE:FORM."""
    if isinstance(value, str):
        parts = {value, value.partition('=')[0], value.rpartition(':')[0]}
        return [part for part in parts if part and len(part) < 4096 and os.path.lexists(part)]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return []
    return [path for item in value for path in _paths(item)]
