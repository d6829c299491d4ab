"""The list of names that a checkpoint's pickle may use, tensors among them."""
from __future__ import annotations

import _compat_pickle
import math
from collections import OrderedDict
from typing import Any

import torch
from torch.serialization import StorageType

from .mmengine_values import MMENGINE, SAVED_METHODS
from .values import PLAIN, Name, StorageNote, TensorNote, UnusableTensor, expect, is_count, refuse


def find(module: str, attribute: str) -> Any:
    """Look up what a pickle names.

    Args:
        module (str): Module, possibly by its name in Python 2.
        attribute (str): Name in it.

    Returns:
        Any: A :class:`Name`; or a value where the name is one: a dtype, a kind of storage, a
        method that mmengine saves.

    Raises:
        ForbiddenName: If the name is not on the list.
        UnusableTensor: If it builds a sparse or otherwise unsupported tensor.
        ValueError: If it cannot name anything.
    """
    renamed = _compat_pickle.NAME_MAPPING.get((module, attribute))
    module, attribute = renamed or (
        _compat_pickle.IMPORT_MAPPING.get(module, module), attribute)
    name = f'{module}.{attribute}'
    if len(name) > 200 or not all(part.isidentifier() for part in name.split('.')):
        # A text that begins like a pickle.
        raise ValueError('a name in it cannot name anything')
    if name in UNUSABLE:
        raise UnusableTensor(UNUSABLE[name])
    if name in VALUES:
        return VALUES[name]
    return NAMES[name] if name in NAMES else refuse(name)


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False,
            hooks: Any = None, metadata: Any = None) -> torch.Tensor | TensorNote:
    noted = isinstance(storage, StorageNote)
    expect(noted or type(storage) is torch.storage.TypedStorage, 'a tensor without a storage')
    sides = (*size, *stride, offset) if type(size) is type(stride) is tuple or (isinstance(
        size, torch.Size) and type(stride) is tuple) else (-1,)
    expect(all(map(is_count, sides)) and len(size) == len(stride) <= 64
           and type(requires_grad) is bool and not metadata and (hooks is None or (
               type(hooks) is OrderedDict and not hooks)), 'a tensor of an unknown kind')
    numel = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    elements = storage.numel if noted else storage._untyped_storage.nbytes() // (
        storage._element_size())
    expect(numel == 0 or last < elements, 'a tensor beyond the end of its storage')
    if noted:
        return TensorNote(numel * storage.bytes_each)
    return torch._utils._rebuild_tensor_v2(
        storage, offset, tuple(size), stride, requires_grad, OrderedDict())


def _parameter(data: Any, requires_grad: Any, hooks: Any = None) -> Any:
    expect(type(requires_grad) is bool and not hooks and isinstance(
        data, (torch.Tensor, TensorNote)), 'a parameter of an unknown kind')
    return data if isinstance(data, TensorNote) else torch.nn.Parameter(data, requires_grad)


_TENSORS = 'torch._utils._rebuild_'
_SPARSE, _QUANTISED = 'a sparse tensor', 'a quantised tensor'
UNUSABLE = {
    f'{_TENSORS}sparse_tensor': _SPARSE, f'{_TENSORS}sparse_csr_tensor': _SPARSE,
    'torch.serialization._get_layout': _SPARSE, f'{_TENSORS}qtensor': _QUANTISED,
    f'{_TENSORS}nested_tensor': 'a nested tensor',
    f'{_TENSORS}meta_tensor_no_storage': 'a meta tensor, which has a shape but no values',
    f'{_TENSORS}wrapper_subclass': 'a tensor subclass',
    'torch._tensor._rebuild_from_type_v2': 'a tensor subclass',
    f'{_TENSORS}tensor_v3': 'a tensor of a type such as float8 or uint16',
    f'{_TENSORS}device_tensor_from_numpy': 'a tensor of another kind of device',
    f'{_TENSORS}device_tensor_from_cpu_tensor': 'a tensor of another kind of device',
}
_BUILDERS: dict[str, Any] = {
    f'{_TENSORS}tensor': _tensor, f'{_TENSORS}tensor_v2': _tensor,
    f'{_TENSORS}parameter': _parameter, **PLAIN, **MMENGINE,
}
NAMES = {name: Name(name, build) for name, build in _BUILDERS.items()}


def _values() -> dict[str, Any]:
    dtypes = {str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype)}
    methods = {f'{owner}.{name}': method for owner, named in SAVED_METHODS.items()
               for name, method in named.items()}
    storages = {}
    for name in filter(lambda name: name.endswith('Storage'), dir(torch)):
        try:
            storages[f'torch.{name}'] = StorageType(name)
            storages[f'torch.cuda.{name}'] = StorageType(name)
        except KeyError:  # UntypedStorage and others
            continue
    storages['torch.storage.UntypedStorage'] = torch.UntypedStorage
    return {**dtypes, **methods, **storages}


# Names that are values by themselves.
VALUES = _values()
