"""Events as a stack of images over time (Zhu et al., CVPR 2019).

https://arxiv.org/abs/1812.08156
"""
from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Either of NumPy or of PyTorch, as the library that goes with it.
_Array = Any
# NumPy 1.25 made ufunc.at several times as fast as bincount on arrays that fit into the cache.
_HAS_FAST_ADD = tuple(map(int, np.__version__.split('.')[:2])) >= (1, 25)
_CHUNK = 2**16 if _HAS_FAST_ADD else 2**20


def voxel_grid(x: np.ndarray | Tensor,
               y: np.ndarray | Tensor,
               t: np.ndarray | Tensor,
               polarity: np.ndarray | Tensor,
               bins: int,
               height: int,
               width: int,
               t0: float | None = None,
               t1: float | None = None) -> np.ndarray | Tensor:
    """Spread events over bins of time.

    Every event adds +1 or -1, shared linearly by the two bins nearest to
    ``(bins - 1) * (t - t0) / (t1 - t0)``, and where x or y are not whole by the four pixels
    around it too. What falls outside of the sensor is left out, for an event at its edge the
    share of the pixels beyond. Where all events have the same time they belong to the first bin.

    Args:
        x (np.ndarray | Tensor): Columns of shape (N,), whole or not.
        y (np.ndarray | Tensor): Rows of shape (N,).
        t (np.ndarray | Tensor): Times of shape (N,), in any unit and order.
        polarity (np.ndarray | Tensor): Of shape (N,); values above zero count as +1, all others
            (0, False, -1) as -1.
        bins (int): Number of bins B.
        height (int): Rows H of the sensor.
        width (int): Columns W of the sensor.
        t0 (float, optional): Time of the first bin. Defaults to that of the earliest event.
        t1 (float, optional): Time of the last bin. Defaults to that of the latest event. Events
            outside of [t0, t1] are left out, and so are those whose time or place is not finite.

    Returns:
        np.ndarray | Tensor: The grid in double precision, of shape (B, H, W), a tensor on the
        device of the events if these are tensors.

    Raises:
        ValueError: If the arrays are not one-dimensional and of the same length, a size is not a
            positive integer, t1 lies before t0, or one of them is not finite.
    """
    x, y, t, polarity = events = _checked(x=x, y=y, t=t, polarity=polarity)
    for name, value in (('bins', bins), ('height', height), ('width', width)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f'{name} is {value!r}, but must be a positive integer.')
    for name, time in (('t0', t0), ('t1', t1)):
        if time is not None and not _is_finite(time):
            raise ValueError(f'{name} is {time!r}, but must be a finite time.')
    if t0 is not None and t1 is not None and t1 < t0:
        raise ValueError(f't1 is {t1}, which lies before t0, {t0}.')
    shape = bins, height, width
    if not isinstance(t, Tensor):
        return _numpy_grid(x, y, t, polarity, shape, t0, t1)
    if all(map(_is_array, events)):
        # On a CPU NumPy's additions are several times as fast as index_add.
        return torch.from_numpy(_numpy_grid(
            x.numpy(), y.numpy(), t.numpy(), polarity.numpy(), shape, t0, t1))
    return _torch_grid(x, y, t, polarity, shape, t0, t1)


def _checked(**events: _Array) -> list[_Array]:
    """The fields of events as arrays or tensors of numbers, of one length."""
    tensors = [isinstance(value, Tensor) for value in events.values()]
    if any(tensors) != all(tensors):
        kinds = ', '.join(type(value).__name__ for value in events.values())
        raise ValueError(f'x, y, t and polarity are {kinds}, but must be all arrays or all '
                         'tensors.')
    found = list(events.values()) if all(tensors) else [np.asarray(v) for v in events.values()]
    shapes = [tuple(value.shape) for value in found]
    if len(set(shapes)) > 1 or len(shapes[0]) != 1:
        raise ValueError(f'x, y, t and polarity have the shapes {shapes}, but must be '
                         'one-dimensional and of the same length.')
    for name, value in zip(events, found, strict=True):
        # An empty list becomes an array of floats.
        if value.is_complex() if isinstance(value, Tensor) else value.dtype.kind not in 'uibf':
            raise ValueError(f'{name} has the type {value.dtype}, but must have real numbers.')
    return found


def _is_finite(time: Any) -> bool:
    try:
        return math.isfinite(time)
    except (TypeError, OverflowError):
        return False


def _is_array(values: Tensor) -> bool:
    """Whether NumPy can work on the memory of a tensor, and no gradient would be lost."""
    return (values.device.type == 'cpu' and not values.requires_grad
            and values.dtype != torch.bfloat16)


def _numpy_grid(x: np.ndarray, y: np.ndarray, t: np.ndarray, polarity: np.ndarray, shape: tuple,
                t0: float | None, t1: float | None) -> np.ndarray:
    finite = t if t.dtype.kind in 'iub' else t[np.isfinite(t)]
    if not len(finite):
        return np.zeros(shape)
    first = float(finite.min() if t0 is None else t0)
    last = float(finite.max() if t1 is None else t1)
    whole = all(v.dtype.kind in 'iub' or bool((v == np.floor(v)).all()) for v in (x, y))
    padded, plane, grid = _empty_grid(np, shape, whole)
    scale = (shape[0] - 1) / (last - first) if last > first else 0.
    for start in range(0, len(t), _CHUNK):
        part = slice(start, start + _CHUNK)
        columns, rows, times, sign = x[part], y[part], t[part], polarity[part]
        kept = _kept(columns, rows, times, shape, first, last)
        if kept is not None:
            columns, rows, times, sign = (v[kept] for v in (columns, rows, times, sign))
        later = times.astype(np.float64)
        later -= first
        later *= scale
        index = later.astype(np.int64)
        later -= index
        sign = np.multiply(sign > 0, 2.)
        sign -= 1
        later *= sign
        sign -= later
        index *= padded[1]
        if whole:
            np.add(index, rows, out=index, casting='unsafe')
            index *= padded[2]
            np.add(index, columns, out=index, casting='unsafe')
            _add(grid, index, sign)
            _add(grid[plane:], index, later)
            continue
        for place, share in _corners(np, columns.astype(np.float64), rows.astype(np.float64),
                                     index, padded[2]):
            place = place.astype(np.int64)
            _add(grid, place, sign * share)
            _add(grid[plane:], place, later * share)
    return _cropped(grid.reshape(padded), whole)


def _torch_grid(x: Tensor, y: Tensor, t: Tensor, polarity: Tensor, shape: tuple,
                t0: float | None, t1: float | None) -> Tensor:
    # PyTorch computes little with its unsigned types.
    x, y, t = (v.double() for v in (x, y, t))
    finite = t[t.isfinite()]
    if not len(finite):
        return t.new_zeros(shape)
    first = float(finite.min() if t0 is None else t0)
    last = float(finite.max() if t1 is None else t1)
    whole = all(bool((v == v.floor()).all()) for v in (x, y))
    padded, plane, grid = _empty_grid(torch, shape, whole, t.device)
    scale = (shape[0] - 1) / (last - first) if last > first else 0.
    kept = _kept(x, y, t, shape, first, last)
    if kept is not None:
        x, y, t, polarity = x[kept], y[kept], t[kept], polarity[kept]
    time = (t - first) * scale
    sign = (polarity > 0).double() * 2 - 1
    later = (time - time.floor()) * sign
    index = time.floor() * padded[1]
    corners = [((index + y) * padded[2] + x, 1.)] if whole else _corners(
        torch, x, y, index, padded[2])
    for place, share in corners:
        place = place.long()
        grid.index_add_(0, place, (sign - later) * share)
        grid.index_add_(0, place + plane, later * share)
    return _cropped(grid.reshape(padded), whole)


def _empty_grid(lib: ModuleType, shape: tuple, whole: bool, *device: torch.device) -> tuple:
    """A flat grid with one bin more, and with a border where pixels are shared.

    So nothing has to be tested in between. With it its shape and the size of a bin.
    """
    border = 0 if whole else 2
    padded = (shape[0] + 1, shape[1] + border, shape[2] + border)
    plane = padded[1] * padded[2]
    options = dict(device=device[0]) if device else {}
    return padded, plane, lib.zeros(padded[0] * plane, dtype=lib.float64, **options)


def _cropped(grid: _Array, whole: bool) -> _Array:
    return grid[:-1] if whole else grid[:-1, 1:-1, 1:-1]


def _kept(x: _Array, y: _Array, t: _Array, shape: tuple, first: float, last: float
          ) -> _Array | None:
    """Mask of the events that reach the grid, None for all of them; NaN never does."""
    masks = [(values > -1) & (values < size) for values, size in ((x, shape[2]), (y, shape[1]))
             if not (bool(values.min() > -1) and bool(values.max() < size))]
    if not (bool(t.min() >= first) and bool(t.max() <= last)):
        masks.append((t >= first) & (t <= last))
    return functools.reduce(operator.and_, masks) if masks else None


def _corners(lib: ModuleType, x: _Array, y: _Array, index: _Array, width: int
             ) -> Iterator[tuple]:
    """Places in the bordered grid of the four pixels around each event, and their shares."""
    left, top = lib.floor(x), lib.floor(y)
    right_share, bottom_share = x - left, y - top
    corner = (index + top + 1) * width + left + 1
    for down, row_share in ((0, 1 - bottom_share), (width, bottom_share)):
        for right, column_share in ((0, 1 - right_share), (1, right_share)):
            yield corner + (down + right), row_share * column_share


def _add(grid: np.ndarray, index: np.ndarray, weight: np.ndarray) -> None:
    """Add weights to their places, of which some are the same."""
    if _HAS_FAST_ADD:
        np.add.at(grid, index, weight)
    elif len(index):
        # From the first place on, for bincount begins at 0.
        low = index.min()
        found = np.bincount(index - low, weight)
        grid[low:low + len(found)] += found
