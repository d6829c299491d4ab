"""Keys that nothing reads, and types that do not exist.

What a constructor refuses is reported by :mod:`eca_mm.config_check.building`; the mistakes here are
those it would ignore, and those that can be located better than by its error.
"""
import contextlib
import copy
import inspect
import re
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from functools import cache
from typing import Any

from mmengine.config import Config
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner, TestLoop, ValLoop
from torch.utils.data import DataLoader

from eca_mm.engine.config import misspelt_keys
from eca_mm.engine.old_settings import OLD_TYPES, old_settings
from eca_mm.engine.variables import describe_unused, unused_variables
from eca_mm.utils.explain import explain
from eca_mm.utils.signatures import arguments, nearest

from .building import silence
from .context import SPLITS, ConfigContext, Finding
from .lookup import find, is_defined, names

# How similar a key must be to an argument or a neighbour to count as a typo.
_NEAR = 0.8
# Who reads the dicts that no constructor gets.
_READERS: dict[str, Callable] = {
    'auto_scale_lr': Runner.scale_lr, 'env_cfg': Runner.setup_env,
    'randomness': Runner.set_randomness, 'paramwise_cfg': DefaultOptimWrapperConstructor}
_LOADERS = tuple(f'{split}_dataloader' for split in SPLITS)
# Built only when training or an evaluation starts: whatever they do not take is an error.
_LOOPS = ('train_cfg', 'val_cfg', 'test_cfg')
# What all of their parts need.
_LIBRARIES = {'mmpretrain': 'pip install "mmpretrain[multimodal]"',
              'mmdet': 'pip install "mmdet[multimodal,tracking]"'}
# What stands in them are types of albumentations.
_FOREIGN = ('Albu', 'Albumentations', 'mmdet.Albu', 'mmpretrain.Albumentations')
# Their keys are the user's own: parts of names of parameters.
_FREE = ('custom_keys', )


def check(context: ConfigContext) -> Iterator[Finding]:
    """Look through all parts of the config that mmengine, mmdet and mmpretrain read.

    Args:
        context (ConfigContext): The config.

    Yields:
        Finding: An error for a setting of older versions with today's place, and for a key or a
        type that does not exist with the nearest that does.
    """
    config = context.config
    old = dict(old_settings(config))
    for key, place in old.items():
        yield Finding('error', 'keys', key, f'{key!r} is a setting of MMDetection 2 or older, or '
                      'stands in the wrong place: nothing reads it any more', place)
    for name, where, value in unused_variables(config):
        yield Finding('warning', 'keys', name, describe_unused(name, where, value), f'{where}=...')
    for place, key, near in misspelt_keys(config):
        yield _finding(f'{place}.{key}' if place else key, f'unknown key {key!r}', near)
    for where, default in _parts(config):
        found = [(finding, name) for finding, name in _walk(
            config.get(where), where, context.scope, default) if finding.where not in old]
        if where == 'model' and any(name for _, name in found):
            found = _mistakes(context, found)
        yield from (finding for finding, _ in found)


def _mistakes(context: ConfigContext, found: list[tuple[Finding, str]]
              ) -> list[tuple[Finding, str]]:
    """Leave out unknown types and keys that the model takes.

    Some heads take a key out before they build their loss, or read a type by themselves. So the
    model is built, without the mistakes that it names, until it is, or fails by something else.
    """
    settings = copy.deepcopy(context.config.model)
    kept = [pair for pair in found if not pair[1]]
    rest = [pair for pair in found if pair[1]]
    while rest:
        refusal = _refusal(context, settings)
        named = next((pair for pair in rest if f"'{pair[1]}'" in refusal), None)
        if named is None:
            # Something else is refused, before what is probably a typo perhaps.
            kept += [pair for pair in rest
                     if refusal and nearest(pair[1], [pair[0].expected], cutoff=_NEAR)]
            break
        rest.remove(named)
        kept.append(named)
        _correct(settings, named[0])
    return [pair for pair in found if pair in kept]


def _refusal(context: ConfigContext, settings: dict) -> str:
    """Why a model cannot be built; empty if it can."""
    try:
        with silence():
            context.build_model(settings)
    except Exception as error:
        return explain(error) or str(error) or type(error).__name__
    return ''


def _correct(settings: dict, finding: Finding) -> None:
    """Remove a key from a model's settings, or take the type that is probably meant."""
    *path, key = finding.where.split('.')[1:]
    node: Any = settings
    for part in path:
        node = node[int(part) if isinstance(node, list | tuple) else part]
    if key == 'type':
        node[key] = finding.expected
    else:
        node.pop(key, None)


def _parts(config: Config) -> Iterator[tuple[str, Any]]:
    """Top-level keys that are built or read, and what is built where they have no type."""
    by_epoch = (config.get('train_cfg') or {}).get('by_epoch')
    defaults = {
        'train_cfg': EpochBasedTrainLoop if by_epoch else IterBasedTrainLoop,
        'val_cfg': ValLoop, 'test_cfg': TestLoop, 'optim_wrapper': 'OptimWrapper',
        'log_processor': 'LogProcessor', 'data_preprocessor': 'ClsDataPreprocessor'}
    for key in inspect.signature(Runner.__init__).parameters:
        yield key, defaults.get(key)
    # mmpretrain's, beside the model.
    yield 'data_preprocessor', defaults['data_preprocessor']


def _walk(node: Any, where: str, scope: str, default: Any = None
          ) -> Iterator[tuple[Finding, str]]:
    """Findings, each with the name that would end the building of it, if it is wrong."""
    if isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from _walk(value, f'{where}.{index}', scope)
    if not isinstance(node, dict):
        return
    scope = node.get('_scope_') or scope
    key = _key(where)
    if key == 'data_preprocessor' and scope != 'mmpretrain':
        default = None
    kind = node.get('type', default)
    if kind is not None:
        found = find(kind, None, scope)
        if found is None and isinstance(kind, str) and kind in OLD_TYPES:
            yield Finding('error', 'keys', f'{where}.type', f'there is no {kind!r} any more',
                          OLD_TYPES[kind]), ''
        elif found is None and isinstance(kind, str) and scope in _LIBRARIES and is_defined(
                kind.rpartition('.')[2], scope):
            yield Finding('error', 'keys', f'{where}.type', f'{kind!r} is a part of {scope} that '
                          'needs packages which are not installed', _LIBRARIES[scope]), kind
        elif found is None and isinstance(kind, str) and scope == 'mmengine' and any(
                find(kind, None, other) for other in _LIBRARIES):
            other = next(other for other in _LIBRARIES if find(kind, None, other))
            yield Finding('error', 'keys', f'{where}.type', f'{kind!r} is a part of {other}, where '
                          'nobody looks without a default_scope', f"default_scope='{other}'"), ''
        elif found is None and isinstance(kind, str):
            yield _finding(f'{where}.type', f'there is no {kind!r}',
                           nearest(kind, names(None, scope))), kind
        elif found is not None:
            # mmengine takes the priority out before it builds a hook.
            extra = {'priority'} if where.startswith(('custom_hooks', 'default_hooks')) else set()
            # RandAugment's own, of each of its policies.
            extra |= {'magnitude_key', 'magnitude_range'} if '.policies.' in where else set()
            extra |= {'by_epoch'} if where in _LOOPS else set()
            taken, takes_others = arguments(found)
            for finding in _compare(node, where, set(taken) | extra,
                                    f'{getattr(found, "__name__", found)} has no argument',
                                    strict=where in _LOOPS and not takes_others):
                yield finding, '' if takes_others else finding.where.rpartition('.')[2]
    elif key in _FREE:
        return
    elif key in _LOADERS:
        known = _known(DataLoader) | _known(Runner.build_dataloader)
        yield from ((finding, '') for finding in _compare(
            node, where, known, 'a data loader has no argument', strict=True))
    elif key in _READERS:
        yield from ((finding, '') for finding in _compare(
            node, where, _known(_READERS[key]), strict=where == 'env_cfg'))
    else:
        # Unknown readers take single keys: a typo stands next to the key it was meant to replace.
        yield from ((finding, '') for finding in _compare(node, where, set(), beside=True))
    if kind in _FOREIGN:
        return
    for child, value in node.items():
        if child not in _FREE:
            yield from _walk(value, f'{where}.{child}', scope)


def _compare(node: dict, where: str, allowed: set[str], what: str = 'unknown key',
             beside: bool = False, strict: bool = False) -> Iterator[Finding]:
    for key in sorted(set(map(str, node)) - allowed - {'type', '_scope_', '_delete_'}):
        others = set(map(str, node)) - {key} if beside else allowed
        near = nearest(key, others, cutoff=_NEAR)
        # Of two similar keys, the one added later is the mistake.
        if near and (not beside or _is_later(list(node), key, near)) and _differs(key, near):
            yield _finding(f'{where}.{key}', f'{what} {key!r}', near)
        elif strict:
            yield _finding(f'{where}.{key}', f'{what} {key!r}', None)


def _is_later(keys: list[str], key: str, near: str) -> bool:
    """Whether a key comes after another one, and is not that with one more word, or one less."""
    one, other = set(key.split('_')), set(near.split('_'))
    return keys.index(key) > keys.index(near) and not (one < other or other < one)


def _differs(key: str, near: str) -> bool:
    """Whether two names differ by a typo, not by a number or a word as ``fc1`` and ``fc2`` do."""
    strip = re.compile(r'\d+|^(with|use|num|max|min|pos|neg)_')
    key, near = strip.sub('', key), strip.sub('', near)
    pairs = [pair for pair in zip(key.split('_'), near.split('_'), strict=False)
             if pair[0] != pair[1]]
    # loss_x and loss_y are two things, as are out_channels and feat_channels.
    return key != near and (len(pairs) != 1 or (
        len(min(pairs[0], key=len)) > 2 and SequenceMatcher(None, *pairs[0]).ratio() > .5))


@cache
def _known(reader: Callable) -> set[str]:
    """Keys that a function or class reads: its arguments, and the texts in its source."""
    known = set(arguments(reader)[0])
    with contextlib.suppress(OSError, TypeError):
        known |= set(re.findall(r"""['"](\w+)['"]""", inspect.getsource(reader)))
    return known


def _key(where: str) -> str:
    """The last name in a dotted key; positions in lists do not count as names."""
    return next((part for part in where.split('.')[::-1] if not part.isdigit()), '')


def _finding(where: str, message: str, near: str | None) -> Finding:
    suggestion = f'; did you mean {near!r}?' if near else ''
    return Finding('error', 'keys', where, message + suggestion, near or 'no such entry')
