"""Opening HDF5 files whose filters may be absent."""
from __future__ import annotations

import os
from types import ModuleType
from typing import TYPE_CHECKING

from eca_mm.utils.errors import UserError

if TYPE_CHECKING:
    import h5py

INSTALL = "pip install 'eca-net-mm[events]'"


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
