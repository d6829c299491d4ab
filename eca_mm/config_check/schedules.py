"""Schedules and hooks that do not fit the length of the run or the scale of the metric."""
from collections.abc import Iterator

from mmengine.registry import METRICS

from .context import ConfigContext, Finding
from .lookup import find

# A last milestone before this part of the run: the schedule was made for a shorter one.
_EARLY = 0.5
# Figures of mmdet go from 0 to 1.
_LARGEST_DELTA = 0.05


def check(context: ConfigContext) -> Iterator[Finding]:
    """Compare milestones with the length of training, and hooks with the metric.

    Args:
        context (ConfigContext): The config.

    Yields:
        Finding: Milestones that are never reached or far from the end, a difference that no
        training reaches, and a best checkpoint by the AP of one class.
    """
    yield from _check_milestones(context)
    hooks = context.config.get('custom_hooks') or []
    for index, hook in enumerate(hooks):
        if str(hook.get('type')).endswith('EarlyStoppingHook'):
            delta = hook.get('min_delta', 0.1)
            if isinstance(delta, int | float) and delta > _LARGEST_DELTA:
                yield Finding(
                    'warning', 'schedule', f'custom_hooks.{index}.min_delta',
                    f'training stops unless {hook.get("monitor", "the metric")} improves by '
                    f'{delta}' + ('' if 'min_delta' in hook else ', the default')
                    + ': 10 points of AP are 0.1', 'min_delta=0.001, say')
    yield from _check_best(context)


def _check_milestones(context: ConfigContext) -> Iterator[Finding]:
    config = context.config
    train = config.get('train_cfg') or {}
    schedulers = config.get('param_scheduler') or []
    schedulers = [schedulers] if isinstance(schedulers, dict) else schedulers
    for index, scheduler in enumerate(schedulers):
        milestones = scheduler.get('milestones')
        by_epoch = scheduler.get('by_epoch', True)
        unit = 'epochs' if by_epoch else 'iterations'
        length = train.get('max_epochs' if by_epoch else 'max_iters')
        if not isinstance(length, int | float):
            continue
        if not milestones:
            yield from _check_span(f'param_scheduler.{index}', scheduler, length, unit)
            continue
        where = f'param_scheduler.{index}.milestones'
        beyond = [stone for stone in milestones if stone >= length]
        if beyond:
            yield Finding('warning', 'schedule', where, f'training ends after {length} {unit}, '
                          f'before the milestones {", ".join(map(str, beyond))} are reached',
                          f'milestones below {length}')
        elif max(milestones) < _EARLY * length:
            yield Finding('warning', 'schedule', where, f'the last milestone is {max(milestones)} '
                          f'of {length} {unit}: most of training has the smallest learning rate',
                          'milestones in proportion to the length of training')


def _check_span(where: str, scheduler: dict, length: float, unit: str) -> Iterator[Finding]:
    """Compare where a schedule without milestones begins and ends with the length of training."""
    kind, begin = str(scheduler.get('type')).rpartition('.')[2], scheduler.get('begin', 0)
    end, period = scheduler.get('end', length), scheduler.get('T_max')
    if begin >= length:
        yield Finding('warning', 'schedule', f'{where}.begin', f'{kind} begins after {begin} '
                      f'{unit}, but training ends after {length}', f'begin below {length}')
    elif end != float('inf') and end > length:
        yield Finding('warning', 'schedule', f'{where}.end', f'training ends after {length} {unit},'
                      f' before the {end} over which {kind} changes the learning rate are over',
                      f'end={length}')
    elif period and period > length - begin:
        yield Finding('warning', 'schedule', f'{where}.T_max', f'training ends after {length} '
                      f'{unit}, before the {period} over which {kind} lowers the learning rate are '
                      'over', f'T_max={length - begin}')
    elif period and kind.startswith('CosineAnnealing') and period < min(end, length) - begin:
        yield Finding('warning', 'schedule', f'{where}.T_max', f'{kind} lowers the learning rate '
                      f'for {period} {unit} and raises it again, but goes on for '
                      f'{min(end, length) - begin}', f'T_max={min(end, length) - begin}')


def _check_best(context: ConfigContext) -> Iterator[Finding]:
    hook = (context.config.get('default_hooks') or {}).get('checkpoint') or {}
    evaluator = context.config.get('val_evaluator') or {}
    best = hook.get('save_best')
    if best == 'auto' and isinstance(evaluator, dict) and (
            evaluator.get('classwise') and 'Checked' not in str(evaluator.get('type'))):
        yield Finding(
            'warning', 'schedule', 'default_hooks.checkpoint.save_best', "'auto' takes the first "
            'figure, which with classwise=True is the AP of the first class',
            "save_best='coco/bbox_mAP', or type='CheckedCocoMetric' of the evaluator")
    for name in [best] if isinstance(best, str) else best or ():
        yield from _check_name(context, 'default_hooks.checkpoint.save_best', name)
    for index, other in enumerate(context.config.get('custom_hooks') or []):
        if str(other.get('type')).endswith('EarlyStoppingHook') and other.get('monitor'):
            yield from _check_name(context, f'custom_hooks.{index}.monitor', other['monitor'])


def _check_name(context: ConfigContext, where: str, name: str) -> Iterator[Finding]:
    """Compare a metric's name with what the evaluators call theirs: ``coco/...``, say."""
    prefixes = []
    for _, metric in context.metrics('val'):
        kind = find(metric.get('type'), METRICS, metric.get('_scope_') or context.scope)
        prefix = metric.get('prefix') or getattr(kind, 'default_prefix', None)
        if not prefix:
            return
        prefixes.append(prefix)
    losses = any(str(hook.get('type')).endswith('ValLossHook')
                 for hook in context.config.get('custom_hooks') or [])
    if prefixes and name != 'auto' and name.partition('/')[0] not in prefixes and not (
            losses and '/' not in name):
        names = ' or '.join(f'{prefix}/...' for prefix in prefixes)
        yield Finding('error', 'schedule', where, f'no metric is called {name!r}, those of '
                      f'val_evaluator are {names}: the run would fail or never stop by it',
                      f"'{prefixes[0]}/{name.rpartition('/')[2]}', if that is a metric")
