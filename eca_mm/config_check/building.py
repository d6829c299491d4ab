"""Build what train.py builds, and report the errors."""
import contextlib
import copy
import io
import logging
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import HOOKS, METRICS, PARAM_SCHEDULERS
from torch import nn, optim

from eca_mm.datasets.class_checks import check_heads, check_metric, check_splits
from eca_mm.utils.explain import explain

from .context import SPLITS, ConfigContext, Finding
from .forward import describe, is_known, try_forward
from .samples import check_sample
from .schedules import check_iterations, schedulers


def check(context: ConfigContext) -> Iterator[Finding]:
    """Build the data sets, the model, the optimizer, the hooks and the evaluators.

    The data sets load a sample each, the model gets a small black image.

    Args:
        context (ConfigContext): The config.

    Yields:
        Finding: What each of them refuses, and where they mean different classes.
    """
    model = yield from _attempt(context, 'keys', 'model', lambda: context.model)
    if model is not None:
        yield from try_forward(context, model)
        wrapper = context.config.get('optim_wrapper')
        # Others need a GPU, or a constructor that may read anything.
        if isinstance(wrapper, dict) and wrapper.get('type', 'OptimWrapper') == 'OptimWrapper':
            yield from _attempt(context, 'keys', 'optim_wrapper', lambda: build_optim_wrapper(
                model, copy.deepcopy(wrapper)))
    for where, scheduler in schedulers(context):
        yield from _attempt(context, 'keys', where, partial(_build_scheduler, context, scheduler))
    for where, hook in _hooks(context.config):
        yield from _attempt(context, 'keys', where, partial(HOOKS.build, hook))
    yield from _data(context, model)


def _build_scheduler(context: ConfigContext, scheduler: dict) -> None:
    train = context.config.get('train_cfg') or {}
    end = train.get('max_epochs' if scheduler.get('by_epoch', True) else 'max_iters')
    optimizer = optim.SGD([nn.Parameter()], lr=0.1, momentum=0.9)
    PARAM_SCHEDULERS.build(
        {**({} if end is None else {'end': end}), **copy.deepcopy(scheduler)},
        # Of an epoch; what it is changes nothing here.
        default_args=dict(optimizer=OptimWrapper(optimizer), epoch_length=100))


def _hooks(config: Config) -> Iterator[tuple[str, dict]]:
    defaults = config.get('default_hooks') or {}
    for where, hook in [
            *((f'custom_hooks.{index}', hook)
              for index, hook in enumerate(config.get('custom_hooks') or [])),
            *((f'default_hooks.{key}', hook) for key, hook in defaults.items())]:
        # Those that draw need the run's visualizer.
        if isinstance(hook, dict) and not str(hook.get('type')).endswith('VisualizationHook'):
            yield where, {key: copy.deepcopy(value) for key, value in hook.items()
                          if key != 'priority'}


def _data(context: ConfigContext, model: nn.Module | None) -> Iterator[Finding]:
    built: dict[str, Any] = {}
    for split in SPLITS:
        where = f'{split}_dataloader.dataset'
        if context.is_repeated(split) or not context.dataset_config(split):
            continue
        data = yield from _attempt(context, 'data', where, partial(context.full, split))
        if data is None:
            continue
        built[split] = data
        if split == 'train' and hasattr(data, '__len__'):
            yield from check_iterations(context, len(data))
        sample = yield from _attempt(context, 'data', f'{where}.pipeline',
                                     partial(data.__getitem__, 0))
        if sample is not None and model is not None and is_known(model):
            yield from _attempt(context, 'data', f'{where}.pipeline', partial(
                check_sample, sample, split, model))
        for compare in _comparisons(data, where, model, built.get('train'), split):
            if not any(finding.check == 'classes' for finding in context.reported):
                yield from _attempt(context, 'classes', where, compare)
    for split in SPLITS[1:]:
        data = built.get('val' if context.is_repeated(split) else split)
        for where, metric in context.metrics(split):
            yield from _metric(context, where, metric, data)


def _comparisons(data: Any, where: str, model: nn.Module | None, train: Any,
                 split: str) -> Iterator[Callable[[], None]]:
    yield lambda: check_metric(None, data, where)
    if model is not None:
        yield lambda: check_heads(model, data)
    if train is not None and split != 'train':
        yield lambda: check_splits(train, data, split)


def _metric(context: ConfigContext, where: str, cfg: dict, data: Any) -> Iterator[Finding]:
    metric = yield from _attempt(context, 'evaluator', where,
                                 lambda: METRICS.build(copy.deepcopy(cfg)))
    if metric is None or data is None:
        return

    def compare() -> None:
        metric.dataset_meta = data.metainfo
        check_metric(metric, data, where)

    yield from _attempt(context, 'classes', where, compare)


def _attempt(context: ConfigContext, check_name: str, where: str,
             build: Callable[[], Any]) -> Generator[Finding, None, Any]:
    """Build something quietly; yield what it refuses, return it or None."""
    if context.is_reported(where):
        return None
    try:
        with silence():
            return build()
    except Exception as error:
        yield Finding('error', check_name, where, explain(error) or describe(error),
                      'settings that can be built')
    return None


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Suppress mmengine's log and pycocotools' progress output."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
