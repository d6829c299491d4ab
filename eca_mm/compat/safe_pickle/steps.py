"""What each instruction of a pickle does to the restricted unpickler."""
from __future__ import annotations

import codecs
import pickle
from collections.abc import Callable
from typing import Any

from .values import expect, key

Step = Callable[[Any], None]
# Digits of a number written as text, and bytes of one written in binary.
LONGEST_NUMBER = 256
# Stands on the stack for where a container's items begin.
MARK = object()


def _steps() -> dict[int, Step]:
    def read(form: str, then: str) -> Callable:
        return lambda self: getattr(self, then)(self._read(self._number(form)))

    def push(make: Callable) -> Callable:
        return lambda self: self._push(make(self))

    def string(self: Any) -> None:
        text = self._line()
        if len(text) < 2 or text[:1] != text[-1:] or text[:1] not in (b'"', b"'"):
            raise pickle.UnpicklingError('a text lacks its quotes')
        self._text(codecs.escape_decode(text[1:-1])[0])

    return {code[0]: step for code, step in {
        pickle.PROTO: lambda self: expect(self._number('<B') <= 5, 'a protocol beyond 5'),
        pickle.FRAME: lambda self: self._number('<Q'),
        pickle.MARK: lambda self: self._push(MARK),
        pickle.POP: lambda self: self._discard(),
        pickle.POP_MARK: lambda self: self._items(),
        pickle.DUP: lambda self: self._push_again(self._top()),
        pickle.NONE: push(lambda self: None),
        pickle.NEWTRUE: push(lambda self: True),
        pickle.NEWFALSE: push(lambda self: False),
        pickle.INT: push(lambda self: self._int_or_bool()),
        pickle.LONG: push(lambda self: self._long_text()),
        pickle.BININT: push(lambda self: self._number('<i')),
        pickle.BININT1: push(lambda self: self._number('<B')),
        pickle.BININT2: push(lambda self: self._number('<H')),
        pickle.LONG1: push(lambda self: self._long('<B')),
        pickle.LONG4: push(lambda self: self._long('<i')),
        pickle.FLOAT: push(lambda self: float(self._line(LONGEST_NUMBER))),
        pickle.BINFLOAT: push(lambda self: self._number('>d')),
        pickle.STRING: string,
        pickle.BINSTRING: read('<I', '_text'),
        pickle.SHORT_BINSTRING: read('<B', '_text'),
        pickle.UNICODE: push(lambda self: self._line().decode('raw-unicode-escape')),
        pickle.BINUNICODE: push(lambda self: self._read(self._number('<I')).decode()),
        pickle.SHORT_BINUNICODE: push(lambda self: self._read(self._number('<B')).decode()),
        pickle.BINUNICODE8: push(lambda self: self._read(self._number('<Q')).decode()),
        pickle.BINBYTES: read('<I', '_push'),
        pickle.SHORT_BINBYTES: read('<B', '_push'),
        pickle.BINBYTES8: read('<Q', '_push'),
        pickle.BYTEARRAY8: push(lambda self: bytearray(self._read(self._number('<Q')))),
        pickle.EMPTY_LIST: push(lambda self: []),
        pickle.EMPTY_DICT: push(lambda self: {}),
        pickle.EMPTY_TUPLE: push(lambda self: ()),
        pickle.EMPTY_SET: push(lambda self: set()),
        pickle.LIST: push(lambda self: self._items()),
        pickle.TUPLE: push(lambda self: tuple(self._items())),
        pickle.TUPLE1: lambda self: self._tuple(1),
        pickle.TUPLE2: lambda self: self._tuple(2),
        pickle.TUPLE3: lambda self: self._tuple(3),
        pickle.FROZENSET: push(lambda self: frozenset(map(key, self._items()))),
        pickle.DICT: push(lambda self: {
            key(name): value for name, value in self._pairs(self._items())}),
        pickle.APPEND: lambda self: self._append([self._pop()]),
        pickle.APPENDS: lambda self: self._append(self._items()),
        pickle.SETITEM: lambda self: self._set_items([self._pop(), self._pop()][::-1]),
        pickle.SETITEMS: lambda self: self._set_items(self._items()),
        pickle.ADDITEMS: lambda self: self._add(self._items()),
        pickle.GET: lambda self: self._get(self._integer()),
        pickle.BINGET: lambda self: self._get(self._number('<B')),
        pickle.LONG_BINGET: lambda self: self._get(self._number('<I')),
        pickle.PUT: lambda self: self._put(self._integer()),
        pickle.BINPUT: lambda self: self._put(self._number('<B')),
        pickle.LONG_BINPUT: lambda self: self._put(self._number('<I')),
        pickle.MEMOIZE: lambda self: self._put(len(self._memo)),
        pickle.GLOBAL: lambda self: self._global(),
        pickle.STACK_GLOBAL: lambda self: self._stack_global(),
        pickle.INST: lambda self: self._instance(),
        pickle.REDUCE: lambda self: self._reduce(),
        pickle.NEWOBJ: lambda self: self._reduce(),
        pickle.BUILD: lambda self: self._build(),
        pickle.BINPERSID: lambda self: self._storage(),
    }.items()}


STEPS = _steps()
REFUSED = {code[0]: what for code, what in {
    pickle.EXT1: 'a registered extension', pickle.EXT2: 'a registered extension',
    pickle.EXT4: 'a registered extension', pickle.OBJ: 'a custom instance',
    pickle.NEWOBJ_EX: 'a custom instance',
    pickle.NEXT_BUFFER: 'a buffer outside of it', pickle.READONLY_BUFFER: 'a buffer outside of it',
}.items()}
