"""Scan a pickle before anything in it is loaded."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

import torch

from .limits import check_extent, expansion_limit
from .unpickler import RestrictedUnpickler
from .values import StorageNote


class _Scanner(RestrictedUnpickler):
    """Reads a pickle with placeholders for storages and tensors."""

    def __init__(self, file: BinaryIO, check_storage: Callable[[str, int], None] | None) -> None:
        super().__init__(file)
        self._check_storage = check_storage

    def persistent_load(self, saved_id: tuple) -> StorageNote:
        """Record the size of a storage."""
        kind, name, numel = saved_id[1], saved_id[2], saved_id[4]
        dtype = torch.uint8 if kind is torch.UntypedStorage else kind.dtype
        each = torch.empty(0, dtype=dtype).element_size()
        if self._check_storage is not None:
            self._check_storage(name, numel * each)
        if len(saved_id) == 6 and saved_id[5] is not None:
            numel = saved_id[5][2]
        return StorageNote(each, numel)


def scan(file: BinaryIO, check_storage: Callable[[str, int], None] | None = None,
         file_size: int = 0) -> Any:
    """Scan one pickle, up to its STOP, before any of its tensors is read.

    Args:
        file (BinaryIO): At the pickle's first byte.
        check_storage (Callable, optional): Called with the name and the size in bytes of every
            storage that it refers to.
        file_size (int): Size of the whole file in bytes, by which its extent is measured.

    Returns:
        Any: What it holds, with placeholders for tensors.

    Raises:
        ForbiddenName: If it asks for anything that is not on the list.
        UnusableTensor: If it holds a sparse or otherwise unsupported tensor.
        pickle.UnpicklingError, ValueError, EOFError: If it is not a pickle, a truncated one, or one
            that would grow without bounds.
    """
    scanner = _Scanner(file, check_storage)
    scanner.limit = expansion_limit(file_size)
    value = scanner.load()
    check_extent(value, file_size)
    return value
