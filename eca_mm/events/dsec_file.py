"""Event recordings as DSEC stores them (https://dsec.ifi.uzh.ch/data-format/)."""
from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from eca_mm.compat.safe_pickle import available_memory
from eca_mm.utils.errors import UserError

from .arrays import Events
from .hdf5 import open_hdf5, open_numbers

if TYPE_CHECKING:
    import h5py

_FIELDS = ('p', 't', 'x', 'y')
# So many times are read at once to find a place among them; more are halved first.
_SEARCHED = 2**16
# From here on the events of a window are compared with the free memory.
_MANY = 10**7


class DSECEventFile:
    """An ``events.h5`` that is opened when it is first read, once in every process.

    Times are those of the images: microseconds with the file's ``t_offset``. The object can be
    pickled, and reopens the file after a fork, so a data set may hold it for its workers.

    Args:
        path (str | os.PathLike): The file.
        height (int): Rows of the sensor. Defaults to 480.
        width (int): Columns of the sensor. Defaults to 640.
    """

    def __init__(self, path: str | os.PathLike, height: int = 480, width: int = 640) -> None:
        self.path, self.height, self.width = os.fspath(path), height, width
        self._file: Any = None
        self._fields: dict[str, Any] = {}
        self._process: int | None = None

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_file': None, '_fields': {}, '_process': None}

    def __enter__(self) -> DSECEventFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Number of events."""
        self._open()
        return self._count

    @property
    def t_offset(self) -> int:
        """What was added to the times in the file, in microseconds."""
        self._open()
        return self._offset

    @property
    def start(self) -> int:
        """Time of the first event in microseconds; 0 without events."""
        return int(self._read('t', slice(0, 1))[0]) + self.t_offset if len(self) else 0

    @property
    def end(self) -> int:
        """Time of the last event in microseconds; 0 without events."""
        return int(self._read('t', slice(len(self) - 1, None))[0]) + self.t_offset if len(
            self) else 0

    def close(self) -> None:
        """Close the file; the next access opens it again."""
        if self._file is not None and self._process == os.getpid():
            self._file.close()
        self._file, self._fields, self._process = None, {}, None

    def slice(self, t0: int, t1: int) -> Events:
        """Read the events of a window of time, and no others.

        Args:
            t0 (int): Its start in microseconds, with the offset as image timestamps have it.
            t1 (int): Its end, which does not belong to it.

        Returns:
            Events: Those with ``t0 <= t < t1``, whose ``t`` (int64) has the offset too; none for a
            window before or behind the recording.

        Raises:
            UserError: If the file is absent, truncated or foreign, if its times are not sorted or
                do not fit ``ms_to_idx``, or if an event lies outside of the sensor or has no
                polarity.
            ValueError: If ``t1`` lies before ``t0``, or a time is not a finite number.
        """
        try:
            is_window = math.isfinite(t0) and math.isfinite(t1) and t0 <= t1
        except (TypeError, OverflowError):
            is_window = False
        if not is_window:
            raise ValueError(f'The window from t0={t0!r} to t1={t1!r} is not one of two times, the '
                             'earlier one first.')
        self._open()
        first, last = math.ceil(t0 - self._offset), math.ceil(t1 - self._offset)
        begin = self._index(first)
        end = begin if last == first else self._index(last)
        free = available_memory() if end - begin > _MANY else None
        if free is not None and (end - begin) * (self._bytes + 8) > free:
            raise self._bad(f'has {end - begin} events from {t0} to {t1} us, more than the '
                            f'{free >> 20} MB of free memory can hold', 'ask for a shorter window')
        # With a neighbour at both ends, which must lie outside.
        before = min(begin, 1)
        t = self._read('t', slice(begin - before, end + 1)).astype(np.int64)
        inside = t[before:before + end - begin]
        is_sorted = end >= begin and bool((t[1:] >= t[:-1]).all())
        fits = is_sorted and not (
            (before and t[0] >= first) or (len(t) > before + len(inside) and t[-1] < last)
            or (len(inside) and (inside[0] < first or inside[-1] >= last)))
        if not fits:
            raise self._bad(f'has times around {t0} us that are not sorted or do not fit its '
                            "'ms_to_idx'")
        x, y, polarity = (self._read(name, slice(begin, end)) for name in 'xyp')
        if len(inside):
            self._check_range(x, y, polarity)
        return Events(x, y, inside + self._offset, polarity)

    def _check_range(self, x: np.ndarray, y: np.ndarray, polarity: np.ndarray) -> None:
        for name, values, size in (('x', x, self.width), ('y', y, self.height)):
            wrong = values.max() if values.max() >= size else values.min()
            if not 0 <= wrong < size:
                raise self._bad(f'has an event at {name} = {wrong} of a sensor of '
                                f'{self.width} x {self.height} pixels', 'give the size of its '
                                'sensor or fetch it again')
        # An unsigned -1 would count as brighter.
        if polarity.max() > 1 or (polarity.dtype.kind == 'i' and polarity.min() < -1):
            raise self._bad(f'has polarities from {polarity.min()} to {polarity.max()}, but 0 and '
                            '1, or -1 and 1, are expected')

    def _index(self, time: int) -> int:
        """Number of events before a time without offset."""
        if time <= 0:
            return 0
        milliseconds = self._milliseconds
        place = time // 1000
        if place >= len(milliseconds):
            low, high = int(milliseconds[-1]) if len(milliseconds) else 0, self._count
        else:
            low = int(milliseconds[place])
            high = int(milliseconds[place + 1]) if place + 1 < len(milliseconds) else self._count
        while high - low > _SEARCHED:
            middle = (low + high) // 2
            if self._read('t', slice(middle, middle + 1))[0] < time:
                low = middle + 1
            else:
                high = middle
        return low + int(np.searchsorted(self._read('t', slice(low, high)).astype(np.int64), time))

    def _open(self) -> None:
        if self._file is not None and self._process == os.getpid():
            return
        file = open_hdf5(self.path, 'Event file')
        try:
            self._check(file)
        except (OSError, KeyError, RuntimeError) as error:
            file.close()
            if isinstance(error, UserError):
                raise
            # What h5py raises depends on the place of the damage.
            raise self._bad(f'is damaged ({error})') from error
        self._file, self._process = file, os.getpid()
        # Looking a data set up by its name takes longer than reading a short window of it.
        self._fields = {field: file['events'][field] for field in _FIELDS}

    def _check(self, file: h5py.File) -> None:
        found: dict[str, Any] = {}
        for name in (*(f'events/{field}' for field in _FIELDS), 'ms_to_idx', 't_offset'):
            found[name] = open_numbers(file, name, 'Event file')
            if found[name] is None:
                raise self._bad(f'has no {name!r}', "a DSEC recording ('events.h5') is expected")
        *fields, milliseconds, offset = found.values()
        shapes = [field.shape for field in fields]
        if len(set(shapes)) > 1 or len(shapes[0]) != 1:
            raise self._bad(f'has p, t, x and y of the shapes {shapes}',
                            'integers of one length are expected')
        for name, field in zip(_FIELDS, fields, strict=True):
            if field.dtype.kind not in ('uib' if name == 'p' else 'ui'):
                raise self._bad(f"has 'events/{name}' of the type {field.dtype}",
                                'integers are expected')
        if offset.shape != () or offset.dtype.kind not in 'ui' or abs(int(offset[()])) >= 2**62:
            raise self._bad('has a t_offset that is not one integer of less than 63 bits')
        if len(milliseconds.shape) != 1 or milliseconds.dtype.kind not in 'ui':
            raise self._bad("has an 'ms_to_idx' that is not a list of integers")
        self._count, self._bytes = shapes[0][0], sum(field.dtype.itemsize for field in fields)
        offset, milliseconds = offset[()], milliseconds[()]
        self._offset, self._milliseconds = int(offset), milliseconds.astype(np.int64)
        steps = np.diff(self._milliseconds, prepend=0, append=self._count)
        if (steps < 0).any():
            raise self._bad(f"has an 'ms_to_idx' that is not sorted or leads beyond its "
                            f'{self._count} events')

    def _read(self, field: str, part: Any) -> np.ndarray:
        self._open()
        try:
            return self._fields[field][part]
        except (OSError, KeyError, RuntimeError) as error:
            raise self._bad(f"cannot be read in 'events/{field}' ({error})") from error

    def _bad(self, problem: str, remedy: str = 'fetch it again') -> UserError:
        return UserError(f'Event file {self.path} {problem}; {remedy}.')
