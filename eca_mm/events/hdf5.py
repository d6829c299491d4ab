"""Opening HDF5 files: filters may be absent, and what a file states may not be so."""
from __future__ import annotations

import math
import os
from types import ModuleType
from typing import TYPE_CHECKING

from eca_mm.utils.errors import UserError

if TYPE_CHECKING:
    import h5py

INSTALL = "pip install 'eca-net-mm[events]'"
# Numbers may take so many bytes, and so many times the size of the file. Chunks that were never
# written read as zeros, so a few bytes can state any size.
_SMALL, _EXPANSION = 2**26, 100


def hdf5() -> ModuleType:
    """Import h5py with the compression filters of event recordings.

    Returns:
        ModuleType: The module ``h5py``.

    Raises:
        UserError: If h5py or hdf5plugin is not installed, with the command that installs them.
    """
    try:
        import h5py
        import hdf5plugin  # noqa: F401  (registers the filters)
    except ImportError as error:
        raise UserError('Event recordings are HDF5 files with Blosc compression, which need h5py '
                        f'and hdf5plugin ({error}): run `{INSTALL}`.') from error
    return h5py


def open_hdf5(path: str | os.PathLike, what: str) -> h5py.File:
    """Open an HDF5 file for reading.

    Args:
        path (str | os.PathLike): The file.
        what (str): What it should be, for the error.

    Returns:
        h5py.File: The open file.

    Raises:
        UserError: If it cannot be read or is not an HDF5 file.
    """
    h5py = hdf5()
    if not os.path.isfile(path):
        raise UserError(f'{what} {path} does not exist; check the path and the download.')
    try:
        # Many workers read one file, and network disks often know no locks.
        return h5py.File(path, 'r', locking=False)
    except OSError as error:
        reason = str(error).strip().partition('(')[2].rstrip(')') or str(error)
        raise UserError(f'{what} {path} cannot be opened as HDF5 ({reason}); it is truncated or '
                        'another kind of file: download it again.') from error


def open_numbers(file: h5py.File, name: str, what: str) -> h5py.Dataset | None:
    """Find an array of numbers that lies within a file.

    Links are looked at before they are followed: they may lead into other files, or to a pipe that
    is waited for.

    Args:
        file (h5py.File): The file.
        name (str): Name of the array, with groups before it, separated by slashes.
        what (str): What the file should be, for the error.

    Returns:
        h5py.Dataset | None: The array, not yet read; None if there is none.

    Raises:
        UserError: If it lies elsewhere, holds other types, or states a size beyond what is stored.
    """
    h5py = hdf5()
    node = file
    for part in name.split('/'):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise _unusable(file, what, f'reaches {name!r} by a link')
        node = node[part]
    if not isinstance(node, h5py.Dataset) or node.shape is None or node.dtype.kind not in 'uibf':
        raise _unusable(file, what, f'has a {name!r} that is not an array of numbers')
    if node.external or node.is_virtual:
        raise _unusable(file, what, f'keeps {name!r} in other files')
    sides = [math.prod(node.shape), math.prod(node.chunks or (0, ))]
    stated, held = max(sides) * node.dtype.itemsize, file.id.get_filesize()
    if stated > _SMALL + _EXPANSION * held:
        raise _unusable(file, what, f'states {stated >> 20} MB for {name!r} in a file of '
                        f'{held / 2**20:.1f} MB')
    return node


def _unusable(file: h5py.File, what: str, problem: str) -> UserError:
    return UserError(f'{what} {file.filename} {problem}; fetch it again.')
