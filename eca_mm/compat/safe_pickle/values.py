"""The values on the stack of the restricted unpickler, and checks of plain ones."""
from __future__ import annotations

import pickle
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import torch

_SCALARS = (str, int, float, bool, bytes, type(None))


class ForbiddenName(pickle.UnpicklingError):
    """A pickle wants something that no checkpoint needs; the message names it."""


class UnusableTensor(pickle.UnpicklingError):
    """A tensor of a kind that this package does not read; the message says which."""


@dataclass(frozen=True)
class Name:
    """A name of the list as it stands on the unpickler's stack; never the object it names.

    Attributes:
        name (str): Module and attribute.
        build (Callable | None): Makes the value from the pickled arguments; None if the name only
            serves as an argument.
    """

    name: str
    build: Callable | None = None


@dataclass(frozen=True)
class StorageNote:
    """A storage that is named but not read while a file is scanned.

    Attributes:
        bytes_each (int): Size of an element.
        numel (int): Number of elements.
    """

    bytes_each: int
    numel: int


@dataclass(frozen=True)
class TensorNote:
    """A tensor that is named but not built while a file is scanned.

    Attributes:
        nbytes (int): Memory that its elements take when they are copied.
    """

    nbytes: int


def refuse(what: str) -> NoReturn:
    """Stop because of something that the file asks for."""
    raise ForbiddenName(what)


def expect(condition: bool, what: str) -> None:
    """Stop unless what the file asks for is of the expected form."""
    if not condition:
        refuse(what)


def is_count(value: Any) -> bool:
    """Whether a value is a plain integer from 0 that fits 63 bits."""
    return type(value) is int and 0 <= value < 2**63


def key(value: Any) -> Any:
    """Check the key of a dict or the member of a set.

    Hashing nested tuples can take forever, and large integers can all be given the same hash.
    """
    plain = type(value) in _SCALARS or (
        type(value) is tuple and len(value) <= 8 and all(type(v) in _SCALARS for v in value))
    expect(plain, f'a {kind_of(value)} as a key')
    for number in value if type(value) is tuple else (value,):
        expect(type(number) is not int or abs(number) < 2**32, 'a key beyond 32 bits')
    return value


def kind_of(value: Any) -> str:
    """Name a value's type for a message, never its content."""
    return value.name if isinstance(value, Name) else type(value).__name__


def _encode(text: Any, encoding: Any = None) -> bytes:
    expect(type(text) is str and encoding in ('latin1', 'latin-1'), '_codecs.encode of this kind')
    return text.encode('latin1')


def _bytearray(content: Any = b'', encoding: Any = None) -> bytearray:
    if encoding is not None:
        content = _encode(content, encoding)
    expect(type(content) is bytes, 'a bytearray of something else than bytes')
    return bytearray(content)


def _bytes() -> bytes:
    # As protocol 2 writes an empty array; others go through _codecs.encode.
    return b''


def _set(members: Any = ()) -> set:
    expect(type(members) in (list, tuple), 'a set of something else than a list')
    return {key(member) for member in members}


def _complex(real: Any, imaginary: Any) -> complex:
    expect(type(real) is float and type(imaginary) is float, 'a complex number of this kind')
    return complex(real, imaginary)


def _ordered_dict(pairs: Any = ()) -> OrderedDict:
    expect(type(pairs) in (list, tuple) and all(
        type(pair) in (list, tuple) and len(pair) == 2 for pair in pairs),
        'an OrderedDict of something else than pairs')
    return OrderedDict((key(name), value) for name, value in pairs)


def _counter(counts: Any = None) -> Counter:
    expect(counts is None or (type(counts) is dict and all(
        type(count) is int for count in counts.values())), 'a Counter of something else')
    return Counter(counts)


def _size(sides: Any) -> torch.Size:
    expect(type(sides) in (tuple, list) and all(map(is_count, sides)), 'a torch.Size of this kind')
    return torch.Size(sides)


def _device(kind: Any, index: Any = None) -> torch.device:
    expect(type(kind) is str and (index is None or is_count(index)), 'a torch.device of this kind')
    return torch.device(kind) if index is None else torch.device(kind, index)


PLAIN = {
    'torch.Size': _size, 'torch.device': _device,
    'collections.OrderedDict': _ordered_dict, 'collections.Counter': _counter,
    'builtins.set': _set, 'builtins.bytes': _bytes, 'builtins.bytearray': _bytearray,
    'builtins.complex': _complex, '_codecs.encode': _encode,
}
