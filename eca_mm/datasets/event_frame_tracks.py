"""Labels of DSEC-Detection."""
from __future__ import annotations

import os

import numpy as np

from eca_mm.utils.errors import UserError
from eca_mm.utils.listing import some
from eca_mm.utils.regular_files import check_regular
from eca_mm.utils.terminal import printable

from .event_frame_splits import DET_CLASSES


def read_tracks(path: str | os.PathLike) -> np.ndarray:
    """Read a ``tracks.npy`` of DSEC-Detection.

    Args:
        path (str | os.PathLike): The file.

    Returns:
        np.ndarray: Structured, with the fields ``t``, ``x``, ``y``, ``w``, ``h``, ``class_id``,
        ``class_confidence`` and ``track_id`` in any order.

    Raises:
        UserError: If it cannot be read, lacks a field or has a class that is not among the eight.
    """
    try:
        check_regular(path)
        # Not more than the file has, whatever its header states.
        tracks = np.load(path, mmap_mode='r', allow_pickle=False)
    except (OSError, ValueError, EOFError, OverflowError) as error:
        raise UserError(f'Labels {path} cannot be read ({printable(error)}); download them again.'
                        ) from error
    if not isinstance(tracks, np.ndarray) or tracks.ndim != 1:
        raise UserError(f'Labels {path} are not one list of boxes; a tracks.npy of DSEC-Detection '
                        'is expected.')
    tracks = np.array(tracks)
    needed = ('t', 'x', 'y', 'w', 'h', 'class_id', 'class_confidence', 'track_id')
    lacking = [name for name in needed if name not in (tracks.dtype.names or ())]
    if lacking:
        raise UserError(f'Labels {path} have no field {lacking[0]!r}, only '
                        f'{some(tracks.dtype.names or ())}; a tracks.npy of DSEC-Detection is '
                        'expected.')
    for name in needed:
        if tracks.dtype[name].kind not in 'uif':
            raise UserError(f'Labels {path} have a field {name!r} of the type '
                            f'{tracks.dtype[name]}; download them again.')
        # Boxes that are not finite are left out and counted.
        if name == 'class_confidence' and not np.isfinite(tracks[name]).all():
            raise UserError(f'Labels {path} have a {name!r} that is not finite; download them '
                            'again.')
        if name in ('t', 'class_id', 'track_id') and tracks[name].dtype.kind == 'f' and not (
                (np.abs(tracks[name]) < 2**53) & (tracks[name] % 1 == 0)).all():
            raise UserError(f'Labels {path} have a {name!r} that is not a whole number; download '
                            'them again.')
    strange = sorted({int(label) for label in tracks['class_id']} - set(range(len(DET_CLASSES))))
    if strange:
        raise UserError(f'Labels {path} have the class_id {strange[0]}, but DSEC-Detection has '
                        f'{len(DET_CLASSES)} classes from 0 on.')
    return tracks
