"""An unpickler that can build only what :mod:`.names` lists, on every torch.

It is written out in Python and not derived from :class:`pickle.Unpickler`, so that there is no
second reading of the instructions that could differ from the one that was checked: what it has no
method for, it cannot do.
"""
from __future__ import annotations

import math
import pickle
import struct
import sys
from collections import Counter, OrderedDict
from typing import Any, BinaryIO

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer

from . import mmengine_values, names
from .limits import TooLarge
from .mmengine_values import NumpyType
from .steps import LONGEST_NUMBER, MARK, REFUSED, STEPS
from .values import ForbiddenName, Name, expect, is_count, key, kind_of, refuse

_DICTS = (dict, OrderedDict, Counter)


class RestrictedUnpickler:
    """Reads one pickle, up to its STOP, into tensors, plain containers and what mmengine writes.

    Takes the place of :class:`pickle.Unpickler` in torch's own loading functions.

    Args:
        file (BinaryIO): At the pickle's first byte.
        encoding (str): Of text from Python 2. Defaults to ``'utf-8'``.
        **kwargs: Ignored, as given by torch.
    """

    def __init__(self, file: BinaryIO, *, encoding: str = 'utf-8', **kwargs: Any) -> None:
        self._file, self._encoding = file, encoding
        self._stack: list = []
        self._memo: dict[int, Any] = {}
        # Objects that exist but wait for their state, by identity.
        self._unbuilt: dict[int, Any] = {}
        # Bytes of memory, roughly: an instruction of one byte may make a set of 216.
        self.limit, self._spent = math.inf, 0

    def find_class(self, module: str, name: str) -> Any:
        """Look up a name; torch's subclass looks up its storages first."""
        return names.find(module, name)

    def persistent_load(self, saved_id: Any) -> Any:
        """Refuse storages; torch's loading functions put their own method here."""
        refuse('a storage in an unexpected place')

    def load(self) -> Any:
        """Read the pickle.

        Returns:
            Any: Its value.

        Raises:
            ForbiddenName: If it asks for anything that is not on the list.
            UnusableTensor: If it holds a sparse or otherwise unsupported tensor.
            pickle.UnpicklingError, ValueError, EOFError: If it is not a pickle or a truncated one.
        """
        while True:
            code = self._read(1)[0]
            if code == pickle.STOP[0]:
                value = self._pop()
                # What waits for its state has none: an array without data, say.
                expect(not self._unbuilt and not self._stack, 'an object without its state')
                return value
            step = STEPS.get(code)
            if step is None:
                if code in REFUSED:
                    refuse(REFUSED[code])
                raise pickle.UnpicklingError(f'it has no instruction 0x{code:02x}')
            step(self)

    # ---- reading ----

    def _read(self, count: int) -> bytes:
        data = b''
        # In pieces: a forged length must not reserve memory.
        while len(data) < count:
            piece = self._file.read(min(count - len(data), 2**24))
            if not piece:
                raise EOFError('it ends within a value')
            data = data + piece if data else piece
        return data

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._read(struct.calcsize(form)))[0]

    def _line(self, limit: int = 2**24) -> bytes:
        line = self._file.readline(limit)
        if not line.endswith(b'\n'):
            raise EOFError('it ends within a line')
        return line[:-1]

    def _integer(self) -> int:
        return int(self._line(LONGEST_NUMBER))

    def _int_or_bool(self) -> int:
        text = self._line(LONGEST_NUMBER)
        # As unpicklers do: 0x10 is 16, and 010 is an error rather than 8.
        return {b'00': False, b'01': True}[text] if text in (b'00', b'01') else int(text, 0)

    def _long_text(self) -> int:
        return int(self._line(LONGEST_NUMBER).removesuffix(b'L'), 0)

    def _long(self, form: str) -> int:
        size = self._number(form)
        expect(0 <= size <= LONGEST_NUMBER, 'an integer of more than 256 bytes')
        return int.from_bytes(self._read(size), 'little', signed=True)

    # ---- the stack ----

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is MARK:
            raise pickle.UnpicklingError('an instruction finds too little on the stack')
        return self._stack.pop()

    def _push(self, value: Any) -> None:
        self._stack.append(value)
        if self.limit == math.inf:
            return
        shared = value is None or isinstance(value, (bool, Name)) or (
            type(value) is int and -5 <= value <= 256)
        self._spend(8 if shared else 8 + sys.getsizeof(value))

    def _push_again(self, value: Any) -> None:
        self._stack.append(value)
        self._spend(8)

    def _spend(self, nbytes: int) -> None:
        self._spent += nbytes
        if self._spent > self.limit:
            raise TooLarge(f'parts that take more than {int(self.limit) >> 20} MB')

    def _top(self) -> Any:
        if not self._stack or self._stack[-1] is MARK:
            raise pickle.UnpicklingError('an instruction finds too little on the stack')
        return self._stack[-1]

    def _items(self) -> list:
        for index in range(len(self._stack) - 1, -1, -1):
            if self._stack[index] is MARK:
                items = self._stack[index + 1:]
                del self._stack[index:]
                return items
        raise pickle.UnpicklingError('an instruction finds no mark on the stack')

    def _tuple(self, count: int) -> None:
        items = [self._pop() for _ in range(count)]
        self._push(tuple(reversed(items)))

    def _discard(self) -> None:
        # A mark may be popped too; that is how pickles skip what they do not need.
        if not self._stack:
            raise pickle.UnpicklingError('an instruction finds too little on the stack')
        self._stack.pop()

    def _text(self, data: bytes) -> None:
        self._push(data.decode(self._encoding))

    def _get(self, index: int) -> None:
        if index not in self._memo:
            raise pickle.UnpicklingError('it refers to a value that there is not')
        self._push_again(self._memo[index])

    def _put(self, index: int) -> None:
        expect(index >= 0, 'a negative place')
        self._memo[index] = self._top()
        self._spend(100)

    # ---- containers ----

    def _pairs(self, items: list) -> list[tuple]:
        if len(items) % 2:
            raise pickle.UnpicklingError('a key lacks its value')
        return list(zip(items[::2], items[1::2], strict=True))

    def _append(self, items: list) -> None:
        self._spend(8 * len(items))
        if items:
            expect(type(self._top()) is list, f'an addition to a {kind_of(self._top())}')
            self._stack[-1].extend(items)
        else:
            self._top()

    def _set_items(self, items: list) -> None:
        pairs, target = self._pairs(items), self._top()
        self._spend(100 * len(pairs))
        if pairs:
            expect(type(target) in _DICTS, f'an entry of a {kind_of(target)}')
            for name, value in pairs:
                target[key(name)] = value

    def _add(self, items: list) -> None:
        target = self._top()
        self._spend(70 * len(items))
        if items:
            expect(type(target) is set, f'an addition to a {kind_of(target)}')
            target.update(map(key, items))

    # ---- names, and what is built by them ----

    def _global(self) -> None:
        module, name = (self._line(LONGEST_NUMBER).decode() for _ in range(2))
        self._push(self.find_class(module, name))

    def _instance(self) -> None:
        module, name = (self._line(LONGEST_NUMBER).decode() for _ in range(2))
        self.find_class(module, name)
        refuse(f'an instance of {module}.{name}')

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        expect(type(name) is str and type(module) is str, 'a name that it computes')
        self._push(self.find_class(module, name))

    def _reduce(self) -> None:
        args, function = self._pop(), self._pop()
        expect(isinstance(function, Name) and function.build is not None,
               f'a call of a {kind_of(function)}')
        expect(type(args) is tuple, f'{function.name} of a {kind_of(args)}')
        try:
            value = function.build(*args)
        except TypeError as error:  # another number of arguments than it takes
            raise ForbiddenName(f'{function.name} with other arguments') from error
        if isinstance(value, (NumpyType, HistoryBuffer)) or function.name.endswith('_reconstruct'):
            self._unbuilt[id(value)] = value
        self._push(value)

    def _build(self) -> None:
        state, target = self._pop(), self._top()
        waits = self._unbuilt.pop(id(target), None) is not None
        if isinstance(target, NumpyType) and waits:
            mmengine_values.set_numpy_type(target, state)
        elif type(target) is np.ndarray and waits:
            mmengine_values.set_array(target, state)
            self._spend(target.nbytes)
        elif type(target) is HistoryBuffer and waits:
            expect(type(state) is dict and not any(
                id(value) in self._unbuilt for value in state.values()),
                'an object without its state')
            mmengine_values.set_history_buffer(target, state)
        elif type(target) is OrderedDict:
            # The versions of its layers, which torch keeps beside a state dict.
            expect(type(state) is dict and state.keys() <= {'_metadata'},
                   'attributes of an OrderedDict')
            vars(target).update({name: mmengine_values.versions(found)
                                 for name, found in state.items()})
        else:
            refuse(f'a change of a {kind_of(target)}')

    def _storage(self) -> None:
        saved = self._pop()
        expect(type(saved) is tuple and 5 <= len(saved) <= 6 and saved[0] in ('storage', b'storage')
               and (isinstance(saved[1], torch.serialization.StorageType)
                    or saved[1] is torch.UntypedStorage)
               and type(saved[2]) is str and type(saved[3]) in (str, bytes)
               and is_count(saved[4]), 'a storage of an unknown kind')
        if len(saved) == 6 and saved[5] is not None:
            view = saved[5]
            expect(type(view) is tuple and len(view) == 3 and all(
                map(is_count, view[1:])) and view[1] + view[2] <= saved[4]
                and type(view[0]) is str, 'a view beyond the end of its storage')
        self._push(self.persistent_load(saved))


def load(file: BinaryIO, **kwargs: Any) -> Any:
    """As :func:`pickle.load`, restricted.

    Args:
        file (BinaryIO): At the pickle's first byte.
        **kwargs: As :class:`RestrictedUnpickler` takes them.

    Returns:
        Any: What the pickle holds.
    """
    return RestrictedUnpickler(file, **kwargs).load()


# By this name torch's loading functions ask a module for its unpickler.
Unpickler = RestrictedUnpickler
