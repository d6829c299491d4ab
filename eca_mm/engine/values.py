"""Values of a config that would cause a traceback, or do something other than they state."""
import logging
import math
from collections.abc import Iterator
from typing import NamedTuple

from mmengine.config import Config

from eca_mm.utils.errors import UserError


class BadValue(NamedTuple):
    """A value that cannot be used: its dotted key, itself, and what it must be."""

    where: str
    value: object
    expected: str


class _Number(NamedTuple):
    """A number from ``least`` to ``most``.

    ``above`` excludes ``least`` itself, ``infinite`` allows infinity, also as the text ``'inf'``.
    """

    least: float = 0
    most: float = math.inf
    whole: bool = False
    above: bool = False
    infinite: bool = False


_COUNT, _FROM_ONE = _Number(whole=True), _Number(1, whole=True)
_POSITIVE, _ANY, _SHARE = _Number(above=True), _Number(-math.inf), _Number(0, 1)
# PyTorch clips by the largest gradient with the norm 'inf', and only measures with the limit 'inf'.
_CLIP = _Number(above=True, infinite=True)
# mmengine takes -1 for never, or for no limit.
_OR_NEVER = _Number(-1, whole=True)

_LOADER = {'batch_size': _FROM_ONE, 'num_workers': _COUNT, 'prefetch_factor': _FROM_ONE,
           'num_batch_per_epoch': _FROM_ONE, 'timeout': _Number()}
_LOOP = {'max_epochs': _FROM_ONE, 'max_iters': _FROM_ONE, 'val_interval': _FROM_ONE,
         'val_begin': _COUNT}
_OPTIMIZER = {'lr': _Number(), 'weight_decay': _Number(), 'momentum': _Number(),
              'dampening': _ANY, 'eps': _Number(), 'alpha': _Number()}
_SCHEDULER = {'begin': _COUNT, 'end': _FROM_ONE, 'gamma': _POSITIVE, 'factor': _POSITIVE,
              'start_factor': _POSITIVE, 'end_factor': _Number(), 'power': _Number(),
              'eta_min': _Number(), 'eta_min_ratio': _SHARE, 'T_max': _FROM_ONE,
              'step_size': _FROM_ONE, 'total_iters': _FROM_ONE, 'total_steps': _FROM_ONE,
              'patience': _COUNT, 'pct_start': _SHARE}
_HOOKS = {'interval': _OR_NEVER, 'max_keep_ckpts': _OR_NEVER, 'save_begin': _COUNT,
          'score_thr': _ANY}
# What a config's parts are; objects of other types are the user's own.
_PLAIN = (bool, int, float, str, list, dict)
_PARTS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(('model', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'train_cfg',
                     'val_cfg', 'test_cfg', 'optim_wrapper', 'default_hooks', 'env_cfg',
                     'visualizer', 'randomness'), (dict, )),
    **dict.fromkeys(('val_evaluator', 'test_evaluator', 'param_scheduler'), (dict, list)),
    'custom_hooks': (list, )}
_LOADER_PARTS: dict[str, tuple[type, ...]] = dict.fromkeys(
    ('dataset', 'sampler', 'batch_sampler'), (dict, ))


def check_values(config: Config) -> None:
    """Look at the numbers that every run needs.

    Args:
        config (Config): A resolved config.

    Raises:
        UserError: Naming the first that cannot be used.
    """
    for where, value, expected in bad_values(config):
        raise UserError(f'{where} of the config is {value!r}, but must be {expected}.')


def bad_values(config: Config) -> Iterator[BadValue]:
    """Find the numbers that cannot be used.

    Args:
        config (Config): A resolved config.

    Yields:
        BadValue: Dotted key, value, and what it must be.
    """
    for split in ('train', 'val', 'test'):
        yield from _numbers(config.get(f'{split}_dataloader'), f'{split}_dataloader', _LOADER)
    yield from _numbers(config.get('randomness'), 'randomness',
                        {'seed': _Number(0, 2**32 - 1, whole=True)})
    yield from _numbers(config.get('train_cfg'), 'train_cfg', _LOOP)
    yield from _optimizers(config.get('optim_wrapper'), 'optim_wrapper')
    yield from _schedules(config.get('param_scheduler'), 'param_scheduler')
    hooks = config.get('default_hooks')
    for name, hook in hooks.items() if isinstance(hooks, dict) else ():
        # Only a logger divides by its interval.
        limits = {**_HOOKS, 'interval': _FROM_ONE} if name == 'logger' else _HOOKS
        yield from _numbers(hook, f'default_hooks.{name}', limits)
    yield from _numbers(config.get('auto_scale_lr'), 'auto_scale_lr',
                        {'base_batch_size': _FROM_ONE})
    yield from _kinds(config, _PARTS)
    if 'model' in config and config.model is None:
        yield BadValue('model', None, 'a dict')
    for split in ('train', 'val', 'test'):
        yield from _kinds(config.get(f'{split}_dataloader'), _LOADER_PARTS, f'{split}_dataloader.')
    yield from _others(config)


def _kinds(part: object, kinds: dict[str, tuple[type, ...]], where: str = '') -> Iterator[BadValue]:
    """Find plain values where a dict or a list of dicts belongs."""
    if not isinstance(part, dict | Config):
        return
    for key, kind in kinds.items():
        value = part.get(key)
        if isinstance(value, _PLAIN) and value != {} and not isinstance(value, kind):
            yield BadValue(f'{where}{key}', value, ' or '.join(
                'a dict' if one is dict else 'a list of dicts' for one in kind))


def _optimizers(wrapper: object, where: str) -> Iterator[BadValue]:
    if not isinstance(wrapper, dict):
        return
    yield from _numbers(wrapper, where, {'accumulative_counts': _FROM_ONE})
    scale = wrapper.get('loss_scale')
    # mmengine refuses integers.
    if not (scale in (None, 'dynamic') or isinstance(scale, dict)
            or (isinstance(scale, float) and _is_within(scale, _POSITIVE))):
        yield BadValue(f'{where}.loss_scale', scale, "'dynamic', a dict or a float above 0")
    yield from _numbers(wrapper.get('clip_grad'), f'{where}.clip_grad',
                        dict.fromkeys(('max_norm', 'clip_value', 'norm_type'), _CLIP))
    optimizer = wrapper.get('optimizer')
    if isinstance(optimizer, dict):
        # Adafactor's eps is a pair.
        pair = isinstance(optimizer.get('eps'), list | tuple)
        yield from _numbers(optimizer, f'{where}.optimizer', {
            key: limit for key, limit in _OPTIMIZER.items() if not (pair and key == 'eps')})
        betas = optimizer.get('betas')
        if betas is not None and not (isinstance(betas, list | tuple) and len(betas) >= 2 and all(
                _is_number(beta) and 0 <= beta < 1 for beta in betas)):
            yield BadValue(f'{where}.optimizer.betas', betas, 'two numbers from 0 to below 1')
    else:
        # Several optimizers, each with its own wrapper.
        for name, part in wrapper.items():
            if isinstance(part, dict) and 'optimizer' in part:
                yield from _optimizers(part, f'{where}.{name}')


def _schedules(schedules: object, where: str) -> Iterator[BadValue]:
    if isinstance(schedules, list | tuple):
        for number, schedule in enumerate(schedules):
            yield from _schedules(schedule, f'{where}.{number}')
    elif isinstance(schedules, dict) and 'type' not in schedules:
        # By optimizer.
        for name, part in schedules.items():
            yield from _schedules(part, f'{where}.{name}')
    elif isinstance(schedules, dict):
        yield from _numbers(schedules, where, _SCHEDULER)
        begin, end = schedules.get('begin', 0), schedules.get('end')
        if _is_number(begin) and _is_number(end) and end <= begin:
            yield BadValue(f'{where}.end', end, f'more than its begin, {begin}')
        steps = schedules.get('milestones')
        if steps is not None and not (isinstance(steps, list | tuple) and all(
                _is_number(step) and step == int(step) and step >= 0 for step in steps)):
            yield BadValue(f'{where}.milestones', steps, 'a list of whole numbers from 0 on')


def _others(config: Config) -> Iterator[BadValue]:
    for key in ('load_from', 'work_dir', 'experiment_name'):
        if config.get(key) and not isinstance(config[key], str):
            yield BadValue(key, config[key], 'a text')
    if config.get('resume') and config.resume is not True:
        yield BadValue('resume', config.resume, 'True or False; the file is named by load_from')
    level = config.get('log_level')
    if level and not (type(level) is int or (
            isinstance(level, str) and isinstance(logging.getLevelName(level), int))):
        yield BadValue('log_level', level, "a level such as 'INFO', 'WARNING' or 'ERROR'")


def _numbers(part: object, where: str, limits: dict[str, _Number]) -> Iterator[BadValue]:
    """Compare the numbers that a part of a config states; None stands for the default."""
    for key, limit in limits.items() if isinstance(part, dict) else ():
        value = part.get(key)  # type: ignore[attr-defined]
        if value is not None and not _is_within(value, limit):
            yield BadValue(f'{where}.{key}', value, _sentence(limit))


def _is_within(value: object, limit: _Number) -> bool:
    if limit.infinite and value in (math.inf, 'inf'):
        return True
    if not _is_number(value) or (limit.whole and value != int(value)):  # type: ignore[call-overload]
        return False
    return limit.least <= value <= limit.most and not (  # type: ignore[operator]
        limit.above and value == limit.least)


def _sentence(limit: _Number) -> str:
    kind = 'a whole number' if limit.whole else 'a number'
    if limit.above:
        return f'{kind} above {limit.least:g}'
    if limit.least == -math.inf:
        return kind
    return f'{kind} from {limit.least} ' + (
        'on' if limit.most == math.inf else f'to {limit.most}')


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
