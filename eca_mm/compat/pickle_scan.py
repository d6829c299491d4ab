"""Judging a pickle by its instructions, without running any of them."""
import _compat_pickle
import pickle
import pickletools
import types

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

MARK = object()
# Stands for the class in a file, where it only serves to name its two annealing functions.
ONE_CYCLE = object()
HISTORY_BUFFER_NAME = f'{HistoryBuffer.__module__}.{HistoryBuffer.__qualname__}'
ONE_CYCLE_NAME = f'{OneCycleParamScheduler.__module__}.{OneCycleParamScheduler.__qualname__}'
# All methods that mmengine's files name: a HistoryBuffer keeps a table of its own statistics, a
# one-cycle schedule its annealing function.
SAVED_METHODS = (
    (HistoryBuffer, HISTORY_BUFFER_NAME,
     {name: getattr(HistoryBuffer, name) for name in ('min', 'max', 'mean', 'current')}),
    (ONE_CYCLE, ONE_CYCLE_NAME,
     {name: getattr(OneCycleParamScheduler, name)
      for name in ('_annealing_cos', '_annealing_linear')}),
)


class ForbiddenName(pickle.UnpicklingError):
    """A pickle wants something that no checkpoint needs; the message names it."""


def only_saved_methods(owner, name):
    """Stands in for ``getattr``, by which pickle names methods.

    Args:
        owner: HistoryBuffer, or what stands for the one-cycle schedule.
        name (str): One of the methods that mmengine saves of it.

    Returns:
        Callable: The method.

    Raises:
        ForbiddenName: If anything else is asked for.
    """
    for known, _, methods in SAVED_METHODS:
        if owner is known and name in methods:
            return methods[name]
    raise ForbiddenName(f'getattr({owner}, {name!r})')


def _mmengine_globals():
    """Returns what mmengine's files name beyond tensors, by the names that they use."""
    numeric = [np.dtype(code) for code in '?bhilqBHILQefd']
    allowed = {
        HISTORY_BUFFER_NAME: HistoryBuffer,
        ONE_CYCLE_NAME: ONE_CYCLE,
        'builtins.getattr': only_saved_methods,
        'numpy.ndarray': np.ndarray,
        'numpy.dtype': np.dtype,
        # Files do not name these; torch wants the class of every object that it sets a state on.
        **{f'numpy.dtypes.{type(dtype).__name__}': type(dtype) for dtype in numeric},
    }
    array = np.zeros(1)
    # numpy 2 renamed numpy.core; files written before and after meet readers before and after.
    for core in ('numpy.core', 'numpy._core'):
        allowed[f'{core}.multiarray._reconstruct'] = array.__reduce__()[0]
        allowed[f'{core}.multiarray.scalar'] = array[0].__reduce__()[0]
    return allowed


def _tensor_globals():
    """Returns the names by which torch.save writes tensors, as weights_only loading knows them."""
    dtypes = {str(value) for value in vars(torch).values() if isinstance(value, torch.dtype)}
    storages = {f'torch.{name}' for name in dir(torch) if name.endswith('Storage')}
    return dtypes | storages | {
        'torch.Size', 'torch.device', 'torch.nn.parameter.Parameter',
        'torch._utils._rebuild_tensor', 'torch._utils._rebuild_tensor_v2',
        'torch._utils._rebuild_parameter', 'torch.storage.UntypedStorage',
        'torch.storage.TypedStorage', 'collections.OrderedDict', 'collections.Counter',
        '_codecs.encode', 'builtins.set', 'builtins.bytearray', 'builtins.complex',
    }


MMENGINE_GLOBALS = _mmengine_globals()
ALLOWED_NAMES = _tensor_globals() | MMENGINE_GLOBALS.keys()


class _Global(str):
    """A name that stands on the unpickler's stack as the object that it names."""


def scan(file):
    """Reads one pickle up to its STOP and checks what it would do.

    It may name only what is on the list, call only what it names, take from ``getattr`` only the
    methods that mmengine saves, and set the state of instances only.

    Args:
        file: Binary file at the pickle's first byte.

    Raises:
        ForbiddenName: If the pickle wants anything else.
        ValueError, IndexError, KeyError: If it is not a pickle, or a truncated one.
    """
    stack, memo = [], {}
    for opcode, arg, _ in pickletools.genops(file):
        name = opcode.name
        if name in ('PUT', 'BINPUT', 'LONG_BINPUT'):
            memo[arg] = stack[-1]
        elif name == 'MEMOIZE':
            memo[len(memo)] = stack[-1]
        elif name in ('GET', 'BINGET', 'LONG_BINGET'):
            stack.append(memo[arg])
        elif name == 'DUP':
            stack.append(stack[-1])
        elif name == 'MARK':
            stack.append(MARK)
        else:
            taken = _take(stack, opcode)
            stack += [_result(name, arg, taken)] * len(opcode.stack_after)


def _take(stack, opcode):
    """Pops what the instruction consumes, marks left out."""
    count = len(opcode.stack_before)
    if pickletools.markobject in opcode.stack_before:
        below = opcode.stack_before.index(pickletools.markobject)
        count = stack[::-1].index(MARK) + 1 + below
    if count > len(stack):
        raise IndexError('a pickle instruction finds too little on the stack')
    taken = stack[len(stack) - count:]
    del stack[len(stack) - count:]
    return [item for item in taken if item is not MARK]


def _result(name, arg, taken):
    """Checks one instruction and returns what later checks need to know of its result."""
    if name in ('GLOBAL', 'INST'):
        module, _, attribute = arg.partition(' ')
        named = _allowed(module, attribute)
        return named if name == 'GLOBAL' else None
    if name == 'STACK_GLOBAL':
        module, attribute = taken
        if not (isinstance(module, str) and isinstance(attribute, str)):
            _refuse('a name that it computes')
        return _allowed(module, attribute)
    if name in ('REDUCE', 'NEWOBJ', 'NEWOBJ_EX', 'OBJ'):
        function, args = taken[0], taken[1] if name == 'REDUCE' else None
        if not (isinstance(function, _Global) and function in ALLOWED_NAMES):
            _refuse('a call of something that it computes')
        if function == 'builtins.getattr':
            known = {(owner, method) for _, owner, methods in SAVED_METHODS for method in methods}
            if args not in known or not isinstance(args[0], _Global):
                _refuse(f'builtins.getattr of {args}')
            return _Global('.'.join(args))
        return None
    if name == 'BUILD' and isinstance(taken[0], _Global):
        _refuse(f'a change of {taken[0]}')
    if name.startswith('EXT'):
        _refuse(f'the registered extension {arg}')
    if name.startswith('TUPLE'):
        return tuple(taken)
    return arg if isinstance(arg, str) else None


def _allowed(module, attribute):
    name = '.'.join(_python3_name(module, attribute))
    if not all(part.isidentifier() for part in name.split('.')):
        # A text that begins like a pickle.
        raise ValueError(f'{name!r} cannot name anything')
    return _Global(name) if name in ALLOWED_NAMES else _refuse(name)


def _refuse(what):
    raise ForbiddenName(what)


def _python3_name(module, attribute):
    """Translates names of Python 2 as unpicklers do, ``__builtin__`` to ``builtins``."""
    renamed = _compat_pickle.NAME_MAPPING.get((module, attribute))
    return renamed or (_compat_pickle.IMPORT_MAPPING.get(module, module), attribute)


class _ScanningUnpickler(pickle.Unpickler):
    """Scans the very bytes that it is about to load."""

    def __init__(self, file, **kwargs):
        start = file.tell()
        scan(file)
        file.seek(start)
        super().__init__(file, **kwargs)

    def find_class(self, module, name):
        name = _allowed(module, name)
        if name in MMENGINE_GLOBALS:
            return MMENGINE_GLOBALS[name]
        return super().find_class(*name.rsplit('.', 1))


# What torch.load takes as `pickle_module`.
scanning_pickle = types.ModuleType('scanning_pickle')
scanning_pickle.Unpickler = _ScanningUnpickler
scanning_pickle.load = lambda file, **kwargs: _ScanningUnpickler(file, **kwargs).load()
