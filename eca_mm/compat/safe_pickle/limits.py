"""Bounds on the size that a small file may expand to."""
from __future__ import annotations

import datetime
import pickle
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer

from .mmengine_values import SAVED_METHODS
from .values import TensorNote, kind_of, refuse

MAX_DEPTH = 64
# What a file may stand for, when what it shares is written out: this much beyond its own size.
MAX_EXPANSION = 2**28
EXPANSION_PER_BYTE = 16
# Dates are YAML's.
_LEAVES = (bool, int, float, complex, type(None), datetime.date, torch.dtype, torch.device,
           HistoryBuffer)
_CONTAINERS = (list, tuple, set, frozenset, torch.Size)
_METHODS = {method for named in SAVED_METHODS.values() for method in named.values()}


class TooLarge(pickle.UnpicklingError):
    """A file that expands to far more than its size; the message says of what."""


def check_extent(value: Any, file_size: int = 0) -> None:
    """Make sure that a scanned value can be traversed, printed and copied.

    Shared parts count wherever they appear: a list of ten lists of ten lists of ... takes a few
    bytes in a pickle and exponentially many in a text or a copy.

    Args:
        value (Any): What :func:`eca_mm.compat.safe_pickle.scan` has built.
        file_size (int): Size in bytes of the file that it is from.

    Raises:
        TooLarge: If it is nested too deeply, contains itself or grows too large.
        ForbiddenName: If it holds a name of the list as a value.
    """
    limit = expansion_limit(file_size)
    sizes: dict[int, int] = {}
    # Of each container around the current one: itself, what is left of it, its size so far.
    path: list[list] = [[None, iter([value]), 0]]
    around: set[int] = set()
    while path:
        node, parts, _ = path[-1]
        part = next(parts, _END)
        if part is _END:
            _, _, size = path.pop()
            if path:
                sizes[id(node)] = size
                around.discard(id(node))
                path[-1][2] += size
        elif id(part) in around:
            raise TooLarge('a container that contains itself')
        elif isinstance(part, (*_CONTAINERS, dict)):
            if id(part) in sizes:
                path[-1][2] += sizes[id(part)]
            else:
                path.append([part, _parts(part), 8])
                around.add(id(part))
        else:
            path[-1][2] += _size(part)
        if len(path) > MAX_DEPTH:
            raise TooLarge(f'containers nested more than {MAX_DEPTH} deep')
        if path and path[-1][2] > limit:
            raise TooLarge(f'parts that take more than {limit >> 20} MB when each is copied')


def expansion_limit(file_size: int) -> int:
    """Bytes that what a file holds may take.

    Args:
        file_size (int): Size of the file in bytes.

    Returns:
        int: The limit.
    """
    return MAX_EXPANSION + EXPANSION_PER_BYTE * file_size


_END = object()


def _parts(node: Any) -> Iterator:
    if isinstance(node, dict):
        for name, value in node.items():
            yield name
            yield value
        if isinstance(node, OrderedDict):
            yield from vars(node).values()
    else:
        yield from node


def _size(leaf: Any) -> int:
    if isinstance(leaf, (str, bytes, bytearray)):
        return 8 + len(leaf)
    if isinstance(leaf, (TensorNote, np.ndarray, np.generic)):
        return 8 + leaf.nbytes
    if not (isinstance(leaf, _LEAVES) or leaf in _METHODS):
        refuse(f'{kind_of(leaf)} as a value')
    return 8


def available_memory() -> int | None:
    """Memory that a process can still get.

    Returns:
        int | None: Bytes, by the kernel's estimate and the limit of the container that this runs
        in; None where neither can be read.
    """
    found = []
    try:
        lines = Path('/proc/meminfo').read_text().splitlines()
        found += [1024 * int(line.split()[1]) for line in lines if line.startswith('MemAvailable')]
        limit = Path('/sys/fs/cgroup/memory.max').read_text().strip()
        if limit != 'max':
            found.append(int(limit) - int(Path('/sys/fs/cgroup/memory.current').read_text()))
    except (OSError, ValueError):
        pass
    return max(0, min(found)) if found else None
