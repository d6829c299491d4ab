"""Schedules and hooks that do not fit the length of the run or the scale of the metric."""
import math
from collections.abc import Iterator

from mmengine.registry import METRICS

from .context import ConfigContext, Finding
from .lookup import find

# A last milestone before this part of the run: the schedule was made for a shorter one.
_EARLY = 0.5
# A schedule that lowers the learning rate smoothly ends with training, or nearly.
_LATE = 0.9
_FALLING = ('PolyLR', 'CosineAnnealingLR', 'LinearLR')
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
            # Accuracies of mmpretrain go up to 100, losses anywhere.
            if isinstance(delta, int | float) and delta > _LARGEST_DELTA and _is_fraction(
                    str(hook.get('monitor'))):
                yield Finding(
                    'warning', 'schedule', f'custom_hooks.{index}.min_delta',
                    f'training stops unless {hook.get("monitor", "the metric")} improves by '
                    f'{delta}' + ('' if 'min_delta' in hook else ', the default')
                    + ': 10 points of AP are 0.1', 'min_delta=0.001, say')
    yield from _check_best(context)


def _is_fraction(metric: str) -> bool:
    return metric.startswith('coco/') or 'mAP' in metric


def schedulers(context: ConfigContext) -> Iterator[tuple[str, dict]]:
    """Find the schedulers.

    Args:
        context (ConfigContext): The config.

    Yields:
        tuple[str, dict]: Dotted key and settings of each, those of several optimizers included.
    """
    found = context.config.get('param_scheduler') or []
    if isinstance(found, dict) and all(
            isinstance(part, list | tuple) for part in found.values()):
        groups = [(f'param_scheduler.{name}', part) for name, part in found.items()]
    else:
        groups = [('param_scheduler', [found] if isinstance(found, dict) else found)]
    for where, group in groups:
        for index, scheduler in enumerate(group):
            if isinstance(scheduler, dict):
                yield f'{where}.{index}', scheduler


def _check_milestones(context: ConfigContext) -> Iterator[Finding]:
    config = context.config
    train = config.get('train_cfg') or {}
    for key, scheduler in schedulers(context):
        by_epoch = scheduler.get('by_epoch', True)
        length = train.get('max_epochs' if by_epoch else 'max_iters')
        if isinstance(length, int | float):
            yield from _compare(context, key, scheduler, length, True)
        elif by_epoch and 'max_iters' in train and not scheduler.get('convert_to_iter_based'):
            yield Finding('warning', 'schedule', f'{key}.by_epoch', 'training counts '
                          f'iterations (max_iters={train["max_iters"]}), but '
                          f'{_kind(scheduler)} changes the learning rate by epochs, of which '
                          'there is one', 'by_epoch=False, and all lengths in iterations')


def check_iterations(context: ConfigContext, images: int) -> Iterator[Finding]:
    """Compare schedules in iterations with a training whose length is given in epochs.

    Args:
        context (ConfigContext): The config.
        images (int): Length of the training data set.

    Yields:
        Finding: As :func:`check` does.
    """
    epochs = (context.config.get('train_cfg') or {}).get('max_epochs')
    loader = context.config.get('train_dataloader') or {}
    if not isinstance(epochs, int) or not context.batch_size:
        return
    share = math.ceil(images / context.gpus)
    batches = loader.get('num_batch_per_epoch') or (
        share // context.batch_size if loader.get('drop_last')
        else math.ceil(share / context.batch_size))
    for key, scheduler in schedulers(context):
        # A warm-up of 500 iterations is usual, whatever the data.
        if not scheduler.get('by_epoch', True) and batches and not _rises(scheduler):
            # On more GPUs an epoch has fewer iterations.
            yield from _compare(context, key, scheduler, epochs * batches, context.knows_gpus)


def _compare(context: ConfigContext, key: str, scheduler: dict, length: float, certain: bool
             ) -> Iterator[Finding]:
    """Compare a scheduler with the length of training, or with the most that it can be."""
    unit = 'epochs' if scheduler.get('by_epoch', True) else 'iterations'
    milestones = scheduler.get('milestones')
    if not milestones:
        yield from _check_span(key, scheduler, length, unit)
        if certain:
            yield from _check_rest(context, key, scheduler, length, unit)
        return
    where = f'{key}.milestones'
    beyond = [stone for stone in milestones if stone >= length]
    if beyond:
        yield Finding('warning', 'schedule', where, f'training ends after {length} {unit}, '
                      f'before the milestones {", ".join(map(str, beyond))} are reached',
                      f'milestones below {length}')
    elif max(milestones) < _EARLY * length and certain:
        yield Finding('warning', 'schedule', where, f'the last milestone is {max(milestones)} '
                      f'of {length} {unit}: most of training has the smallest learning rate',
                      'milestones in proportion to the length of training')


def _check_rest(context: ConfigContext, key: str, scheduler: dict, length: float,
                unit: str) -> Iterator[Finding]:
    """Look at what is left of training after a schedule without milestones has ended."""
    kind, end = _kind(scheduler), scheduler.get('end')
    if _rises(scheduler):
        factor = scheduler.get('start_factor', scheduler.get('factor', 1 / 3))
        if end is None and factor != 1:
            yield Finding('warning', 'schedule', f'{key}.end', f'{kind} has no end, so all of '
                          'training has a learning rate below that of the optimizer',
                          'the end of the warm-up')
    elif end is not None and kind.startswith(_FALLING) and end < _LATE * length and not any(
            other.get('by_epoch', True) == scheduler.get('by_epoch', True)
            and (other.get('begin', 0) >= end or other.get('end', length) > end)
            for place, other in schedulers(context)
            if place.rpartition('.')[0] == key.rpartition('.')[0] and place != key):
        yield Finding('warning', 'schedule', f'{key}.end', f'{kind} ends after {end} of {length} '
                      f'{unit}: the rest of training has the smallest learning rate',
                      f'end={length}')


def _check_span(where: str, scheduler: dict, length: float, unit: str) -> Iterator[Finding]:
    """Compare where a schedule without milestones begins and ends with the length of training."""
    kind, begin = _kind(scheduler), scheduler.get('begin', 0)
    end, period = scheduler.get('end', length), scheduler.get('T_max')
    step = scheduler.get('step_size')
    if begin >= length:
        yield Finding('warning', 'schedule', f'{where}.begin', f'{kind} begins after {begin} '
                      f'{unit}, but training ends after {length}', f'begin below {length}')
    elif end != float('inf') and end > length:
        yield Finding('warning', 'schedule', f'{where}.end', f'training ends after {length} {unit},'
                      f' before the {end} over which {kind} changes the learning rate are over',
                      f'end={length}')
    elif step and step >= length - begin:
        yield Finding('warning', 'schedule', f'{where}.step_size', f'training ends after {length} '
                      f'{unit}, before the first step of {kind} after {step}',
                      f'step_size below {length - begin}')
    elif period and period > length - begin:
        yield Finding('warning', 'schedule', f'{where}.T_max', f'training ends after {length} '
                      f'{unit}, before the {period} over which {kind} lowers the learning rate are '
                      'over', f'T_max={length - begin}')
    elif period and kind.startswith('CosineAnnealing') and period < min(end, length) - begin:
        yield Finding('warning', 'schedule', f'{where}.T_max', f'{kind} lowers the learning rate '
                      f'for {period} {unit} and raises it again, but goes on for '
                      f'{min(end, length) - begin}', f'T_max={min(end, length) - begin}')


def _rises(scheduler: dict) -> bool:
    """Whether a scheduler is a warm-up."""
    kind = _kind(scheduler)
    return kind.startswith('ConstantLR') or (kind.startswith('LinearLR') and scheduler.get(
        'start_factor', 1 / 3) < scheduler.get('end_factor', 1.))


def _kind(scheduler: dict) -> str:
    return str(scheduler.get('type')).rpartition('.')[2]


def _check_best(context: ConfigContext) -> Iterator[Finding]:
    hook = (context.config.get('default_hooks') or {}).get('checkpoint') or {}
    best = hook.get('save_best')
    # The figures of the first metric come first.
    first: dict = next((metric for _, metric in context.metrics('val')), {})
    if best == 'auto' and first.get('classwise') and 'Checked' not in str(first.get('type')):
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
