"""What mmengine's checkpoints hold besides tensors: numpy's numbers and arrays, HistoryBuffer.

The functions accept what mmengine writes and build the objects themselves. No file gets the real
``numpy.dtype``, whose ``__setstate__`` takes forged flags, or ``getattr``.
"""
from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

from .values import Name, expect, is_count, kind_of, refuse

HISTORY_BUFFER = f'{HistoryBuffer.__module__}.{HistoryBuffer.__qualname__}'
ONE_CYCLE = f'{OneCycleParamScheduler.__module__}.{OneCycleParamScheduler.__qualname__}'
# All methods that mmengine's files name: a HistoryBuffer keeps a table of its own statistics, a
# one-cycle schedule its annealing function.
SAVED_METHODS = {
    HISTORY_BUFFER: {name: getattr(HistoryBuffer, name)
                     for name in ('min', 'max', 'mean', 'current')},
    ONE_CYCLE: {name: getattr(OneCycleParamScheduler, name)
                for name in ('_annealing_cos', '_annealing_linear')},
}
NUMPY_TYPES = frozenset(['b1', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4', 'f8'])


class NumpyType:
    """A numpy dtype before and after its pickled state has been read."""

    def __init__(self, code: str) -> None:
        self.code, self.order = code, None

    def resolve(self) -> np.dtype:
        """The dtype, once its byte order is known."""
        if self.order is None:
            refuse('a numpy dtype without its state')
        return np.dtype(self.order + self.code)


def saved_method(owner: Any, name: Any) -> Callable:
    """Stands in for ``getattr``, by which pickle names methods.

    Args:
        owner (Any): The :class:`Name` of HistoryBuffer or of the one-cycle schedule.
        name (Any): One of the methods that mmengine saves of it.

    Returns:
        Callable: The method.

    Raises:
        ForbiddenName: If anything else is asked for.
    """
    methods = SAVED_METHODS.get(owner.name, {}) if isinstance(owner, Name) else {}
    if type(name) is not str or name not in methods:
        refuse(f'builtins.getattr of {kind_of(owner)}')
    return methods[name]


def _numpy_type(code: Any, *flags: Any) -> NumpyType:
    expect(type(code) is str and code in NUMPY_TYPES and all(
        type(flag) in (bool, int) for flag in flags) and len(flags) <= 2,
        'a numpy dtype that is not a plain number')
    return NumpyType(code)


def set_numpy_type(dtype: NumpyType, state: Any) -> None:
    """Read the state of a dtype: its byte order, and nothing else."""
    expect(type(state) is tuple and len(state) == 8 and state[0] == 3
           and state[1] in ('<', '>', '|', '=') and state[2:] == (None, None, None, -1, -1, 0)
           and dtype.order is None, 'a numpy dtype with custom flags')
    dtype.order = state[1]


def _raw(content: Any, dtype: Any, count: int) -> tuple[bytes, np.dtype]:
    expect(isinstance(dtype, NumpyType) and type(content) is bytes, 'a numpy object')
    dtype = dtype.resolve()
    expect(len(content) == count * dtype.itemsize, 'a numpy array of another size than its data')
    return content, dtype


def _scalar(dtype: Any, content: Any) -> np.generic:
    content, dtype = _raw(content, dtype, 1)
    return np.frombuffer(content, dtype.newbyteorder('='))[0] if dtype.isnative else (
        np.frombuffer(content, dtype).astype(dtype.newbyteorder('='))[0])


def _reconstruct(kind: Any, shape: Any, code: Any) -> np.ndarray:
    expect(isinstance(kind, Name) and kind.name == 'numpy.ndarray' and shape == (0,)
           and code in (b'b', 'b'), 'a numpy array of an unknown kind')
    return np.empty(0, np.int8)


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    # As protocol 5 writes arrays.
    expect(type(content) in (bytes, bytearray) and order in ('C', 'F') and type(shape) is tuple
           and len(shape) <= 8 and all(map(is_count, shape)), 'a numpy array of an unknown kind')
    content, dtype = _raw(bytes(content), dtype, math.prod(shape))
    return np.frombuffer(content, dtype).reshape(shape, order=order).copy()


def set_array(array: np.ndarray, state: Any) -> None:
    """Fill an array with the shape and the bytes that its state gives."""
    expect(type(state) is tuple and len(state) == 5 and state[0] == 1 and type(state[3]) is bool
           and type(state[1]) is tuple and len(state[1]) <= 8 and all(map(is_count, state[1])),
           'a numpy array of an unknown kind')
    _, shape, dtype, fortran, content = state
    content, dtype = _raw(content, dtype, math.prod(shape))
    # All of it is checked: plain numbers, and just as many bytes as they take.
    array.__setstate__((1, shape, dtype, fortran, content))


def versions(found: Any) -> OrderedDict:
    """Copy the versions of layers, which torch keeps beside a state dict, and nothing else.

    Loading reads more from there: ``assign_to_params_buffers`` has it replace parameters.
    """
    expect(isinstance(found, dict) and all(isinstance(entry, dict) and type(
        entry.get('version')) in (int, type(None)) for entry in found.values()),
        'versions of layers that are not numbers')
    return OrderedDict((name, {'version': entry['version']} if 'version' in entry else {})
                       for name, entry in found.items())


def _history_buffer() -> HistoryBuffer:
    return HistoryBuffer.__new__(HistoryBuffer)


def set_history_buffer(buffer: HistoryBuffer, state: Any) -> None:
    """Fill a HistoryBuffer with two arrays of numbers and mmengine's own statistics."""
    what = 'a HistoryBuffer with a custom state'
    expect(type(state) is dict and state.keys() <= _BUFFER_STATE.keys() and len(state) >= 3, what)
    for name, kind in _BUFFER_STATE.items():
        expect(name not in state or type(state[name]) is kind, what)
    values, counts = (state.get(name) for name in ('_log_history', '_count_history'))
    expect(values is not None and counts is not None and values.ndim == counts.ndim == 1
           and len(values) == len(counts), what)
    for methods in ('statistics_methods', '_statistics_methods'):
        for name, method in state.get(methods, {}).items():
            expect(SAVED_METHODS[HISTORY_BUFFER].get(name) is method, what)
    # Copies: what the file does to its own dicts later does not count.
    vars(buffer).update({name: dict(value) if type(value) is dict else value
                         for name, value in state.items()})


# What `vars(HistoryBuffer())` holds, by mmengine's releases.
_BUFFER_STATE = {'max_length': int, '_max_length': int, '_log_history': np.ndarray,
                 '_count_history': np.ndarray, 'statistics_methods': dict,
                 '_statistics_methods': dict}

MMENGINE = {
    'builtins.getattr': saved_method, 'numpy.dtype': _numpy_type, 'numpy.ndarray': None,
    # numpy 2 renamed numpy.core; files written before and after meet readers before and after.
    **{f'numpy.{core}.multiarray.{name}': build for core in ('core', '_core')
       for name, build in (('scalar', _scalar), ('_reconstruct', _reconstruct))},
    'numpy.core.numeric._frombuffer': _from_buffer,
    'numpy._core.numeric._frombuffer': _from_buffer,
    HISTORY_BUFFER: _history_buffer, ONE_CYCLE: None,
}
