"""Event recordings in DSEC's format."""
from __future__ import annotations

import os

import numpy as np

from eca_mm.utils.errors import UserError

from .arrays import Events
from .hdf5 import hdf5


def write_dsec_events(path: str | os.PathLike, events: Events, t_offset: int = 0) -> None:
    """Write an ``events.h5`` as DSEC has it, compressed by Blosc with Zstandard.

    Args:
        path (str | os.PathLike): The file, whose folder exists. It appears when it is complete.
        events (Events): Sorted events; their times are those of the images, offset included.
        t_offset (int): What is taken off the times in the file, in microseconds. Defaults to 0.

    Raises:
        UserError: If h5py and hdf5plugin are not installed, the file exists, or its folder does
            not.
        ValueError: If the times are not whole or not sorted, lie before the offset or more than
            2^32 microseconds behind it, or the pixels are not whole numbers from 0 to 65535.
    """
    h5py = hdf5()
    import hdf5plugin

    if os.path.lexists(path):
        raise UserError(f'{path} exists already; choose another file.')
    if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
        raise UserError(f'The folder of {path} does not exist; make it first.')
    times = np.asarray(events.t)
    if times.dtype.kind == 'f' and not (np.isfinite(times) & (times % 1 == 0)).all():
        raise ValueError('The times must be whole microseconds.')
    t = times.astype(np.int64) - t_offset
    if len(t) and (t[0] < 0 or (np.diff(t) < 0).any()):
        raise ValueError(f'The times are not sorted, or lie before the offset {t_offset}.')
    if len(t) and t[-1] >= 2**32:
        raise ValueError(f'The last event is {t[-1]} us behind the offset {t_offset}, but the '
                         'format has room for 2^32; raise t_offset or write several files.')
    for name, values in (('x', events.x), ('y', events.y)):
        if len(t) and not ((np.asarray(values) == np.asarray(values, np.float64).round()).all()
                           and np.min(values) >= 0 and np.max(values) < 2**16):
            raise ValueError(f'{name} must be whole numbers from 0 to 65535; write events before '
                             'they are rectified.')
    milliseconds = np.arange(int(t[-1]) // 1000 + 1 if len(t) else 0) * 1000
    compression = hdf5plugin.Blosc(cname='zstd', clevel=1, shuffle=hdf5plugin.Blosc.SHUFFLE)
    temporary = f'{os.fspath(path)}.{os.getpid()}'
    try:
        with h5py.File(temporary, 'w') as file:
            for name, values, kind in (('p', events.polarity > 0, '|u1'), ('t', t, '<u4'),
                                       ('x', events.x, '<u2'), ('y', events.y, '<u2')):
                file.create_dataset(f'events/{name}', data=np.asarray(values, kind), chunks=(
                    (min(len(t), 2**16), ) if len(t) else None), **(compression if len(t) else {}))
            file['ms_to_idx'] = np.searchsorted(t, milliseconds).astype('<u8')
            file['t_offset'] = np.int64(t_offset)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
