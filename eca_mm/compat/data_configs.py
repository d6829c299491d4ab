"""Configs that are read as data: values only, and only types that a registry knows."""
from __future__ import annotations

import ast
import importlib
import importlib.util
import math
import re
import sys
from collections.abc import Iterator
from typing import Any

from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry, root

from eca_mm.utils.errors import UserError

_DEPTH = 64
_MAX_ENTRIES = 10**6
# What Python's parser makes of each part of a text takes up to 2 kB.
_MAX_BYTES, _MAX_TOKENS = 2**22, 2**18
_TOKEN = re.compile(r'''\#[^\n]*|([A-Za-z]{0,3})("""|\'\'\'|"|\')|\w+|[^\w\s]''')
_ENDS = {quote: re.compile(rf'\\.|{quote}' + ('' if len(quote) == 3 else '|\n'), re.DOTALL)
         for quote in ('"""', "'''", '"', "'")}
_NUMBERS = {'inf': math.inf, 'nan': math.nan}
PACKAGES = {'mmengine', 'mmcv', 'eca_mm', *MODULE2PACKAGE}


def config_from_text(text: str, source: str) -> dict:
    """Read the text of a config that is to be built, as :func:`values_from_text` does.

    Args:
        text (str): The text.
        source (str): What to call it in messages, e.g. ``'The config in a.pth'``.

    Returns:
        dict: The values by name.

    Raises:
        UserError: If it is more than values, or as :func:`check_data`.
    """
    values = values_from_text(text, source)
    check_data(values, source)
    return values


def values_from_text(text: str, source: str) -> dict:
    """Read the text of a config as plain values, running nothing.

    Understood are assignments of numbers, texts, ``True``, ``None``, lists, tuples, dicts, sets
    and ``dict(...)``: what mmengine writes when it dumps a config.

    Args:
        text (str): The text.
        source (str): What to call it in messages, e.g. ``'The config in a.pth'``.

    Returns:
        dict: The values by name.

    Raises:
        UserError: If it has anything else in it.
    """
    _check_size(text, source)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UserError(f'{source} cannot be read ({_reason(error)}); give the config file '
                        'instead.') from error
    values = {}
    for statement in tree.body:
        if _is_text(statement):  # a comment in quotes
            continue
        if not (isinstance(statement, ast.Assign) and len(statement.targets) == 1
                and isinstance(statement.targets[0], ast.Name)):
            raise _program(statement, source)
        try:
            values[statement.targets[0].id] = _value(statement.value, source, 0)
        except TypeError as error:  # lists in sets
            raise UserError(f'{source} cannot be read ({_reason(error)}, line {statement.lineno}); '
                            'give the config file instead.') from error
    return values


def check_data(config: Any, source: str) -> None:
    """Make sure that a config of plain values reaches no Python object but registered types.

    mmengine takes a ``type`` that no registry knows for the path of any class or function, a
    scope for a module to import, and so would run ``dict(type='subprocess.Popen', ...)``.

    Args:
        config (Any): Its values.
        source (str): What to call it in messages.

    Raises:
        UserError: Naming what reaches beyond.
    """
    for number, (where, name, value) in enumerate(_entries(config, '', 0)):
        if number > _MAX_ENTRIES:
            raise UserError(f'{source} was refused because it has more than {_MAX_ENTRIES} entries '
                            'when what it shares is written out.')
        if name == 'type' and isinstance(value, str) and not is_registered(value):
            found = f'the type {value[:80]!r}, which no registry has'
        elif name in ('_scope_', 'default_scope') and value is not None and (
                value not in PACKAGES if isinstance(value, str) else True):
            found = f'the scope {str(value)[:80]!r}'
        elif name == 'custom_imports' and value is not None and not _imports_known(value):
            found = 'imports of other modules than those of OpenMMLab packages'
        else:
            continue
        raise UserError(f'{source} was refused because {where} asks for {found}: values alone must '
                        'not reach Python objects; if you trust it, write it as a .py config.')


def is_registered(name: str) -> bool:
    """Whether a type's name stands for something that a registry of the stack knows, if anything.

    Args:
        name (str): A bare name, one with a scope (``mmdet.FasterRCNN``), or the whole path of a
            registered class (``mmdet.models.detectors.FasterRCNN``).

    Returns:
        bool: False for what mmengine would import.
    """
    scope, _, bare = name.rpartition('.')
    if any(bare in registry._module_dict and scope in ('', registry.scope)
           for registry in _registries()):
        return True
    if not scope:
        # Parts that no registry builds define their own types; nothing may be imported for them.
        return name.isidentifier() and name not in sys.modules and (
            importlib.util.find_spec(name) is None)
    if scope.partition('.')[0] not in PACKAGES | {'torch', 'torchvision'}:
        return False
    try:
        # A name with a scope may wait for its package to be imported.
        module = importlib.import_module(f'{scope}.models' if scope in PACKAGES else scope)
    except ImportError:
        return False
    found = getattr(module, bare, None)
    return found is not None and any(
        found is known for registry in _registries() for known in registry._module_dict.values())


def _registries() -> Iterator[Registry]:
    waiting = [value for value in vars(root).values() if isinstance(value, Registry)]
    while waiting:
        registry = waiting.pop()
        registry.import_from_location()
        yield registry
        waiting += registry._children.values()


def _imports_known(value: Any) -> bool:
    names = value.get('imports') if isinstance(value, dict) else None
    names = [names] if isinstance(names, str) else names
    return isinstance(names, (list, tuple)) and all(
        isinstance(name, str) and name.partition('.')[0] in PACKAGES for name in names)


def _entries(node: Any, where: str, depth: int) -> Iterator[tuple[str, str, Any]]:
    if depth > _DEPTH:
        raise UserError(f'The config is nested more than {_DEPTH} deep at {where}; give the config '
                        'file instead.')
    items = node.items() if isinstance(node, dict) else (
        enumerate(node) if isinstance(node, (list, tuple)) else ())
    for name, value in items:
        place = f'{where}.{name}' if where else str(name)
        if isinstance(node, dict):
            yield place, str(name), value
        yield from _entries(value, place, depth + 1)


def _value(node: ast.expr, source: str, depth: int) -> Any:
    if depth > _DEPTH:
        raise UserError(f'{source} is nested more than {_DEPTH} deep; give the config file '
                        'instead.')
    down = depth + 1
    if isinstance(node, ast.Constant) and not isinstance(node.value, type(...)):
        return node.value
    if isinstance(node, ast.Name) and node.id in _NUMBERS:
        return _NUMBERS[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        operand = _value(node.operand, source, down)
        if type(operand) in (int, float):
            return -operand if isinstance(node.op, ast.USub) else operand
    for kind, make in ((ast.List, list), (ast.Tuple, tuple), (ast.Set, set)):
        if isinstance(node, kind):
            return make(_value(item, source, down) for item in node.elts)
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_value(name, source, down): _value(value, source, down)
                for name, value in zip(node.keys, node.values, strict=True) if name is not None}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in (
            'dict', 'set') and not node.args and all(item.arg for item in node.keywords):
        if node.func.id == 'set' and not node.keywords:
            return set()
        if node.func.id == 'dict':
            return {item.arg: _value(item.value, source, down) for item in node.keywords}
    raise _program(node, source)


def _check_size(text: str, source: str) -> None:
    """Refuse a text that Python's parser would need far more memory or time for than its size."""
    count, place = 0, 0
    while len(text) <= _MAX_BYTES and count <= _MAX_TOKENS:
        token = _TOKEN.search(text, place)
        if token is None:
            return
        prefix, quote = token.groups()
        count, place = count + 1, token.end()
        if quote and set(prefix.lower()) & {'f', 't'}:
            raise UserError(f'{source} was refused because it has a text with code in it '
                            f'({token[0]}...), and none of it was run: to run it, give it as the '
                            'config file of a tool.')
        while quote and count <= _MAX_TOKENS:
            found = _ENDS[quote].search(text, place)
            if found is None:  # for the parser to complain of
                return
            count, place = count + 1, found.end()
            if found[0] in (quote, '\n'):
                break
    raise UserError(f'{source} is too large for a config ({len(text) / 2**20:.1f} MB); give the '
                    'config file instead.')


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _program(node: ast.expr | ast.stmt, source: str) -> UserError:
    try:
        text = ' '.join(ast.unparse(node).split())
    except RecursionError:
        text = type(node).__name__
    return UserError(f'{source} was refused because line {node.lineno} is not a plain value but '
                     f'code ({text[:80]}), and none of it was run: to run it, give it as the '
                     'config file of a tool.')


def _reason(error: BaseException) -> str:
    return ' '.join(str(error).split())[:120] or type(error).__name__
