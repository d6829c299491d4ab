"""Keys that nothing reads, and types that do not exist."""
import inspect
from collections.abc import Iterator
from typing import Any

from mmengine import registry as registries
from mmengine.config import Config
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, TestLoop, ValLoop
from torch.utils.data import DataLoader

from eca_mm.engine.config import misspelt_keys
from eca_mm.utils.signatures import arguments, nearest

from .context import SPLITS, ConfigContext, Finding
from .lookup import find, names

# What mmengine takes out of a dict before the rest goes to the constructor of its type.
_READ_BEFORE = {
    'optimizer': {'params'}, 'norm_cfg': {'requires_grad'}, 'override': {'name'},
    'nms': {'split_thr', 'class_agnostic', 'max_num', 'nms_pre', 'score_thr'},
    'init_cfg': {'override'},
}
_KINDS = {
    'dataset': registries.DATASETS, 'datasets': registries.DATASETS,
    'pipeline': registries.TRANSFORMS, 'transforms': registries.TRANSFORMS,
    'init_cfg': registries.WEIGHT_INITIALIZERS, 'override': registries.WEIGHT_INITIALIZERS,
    'backbone': registries.MODELS, 'neck': registries.MODELS, 'head': registries.MODELS,
    'rpn_head': registries.MODELS, 'roi_head': registries.MODELS, 'bbox_head': registries.MODELS,
    'mask_head': registries.MODELS, 'data_preprocessor': registries.MODELS,
    'vis_backends': registries.VISBACKENDS, 'optimizer': registries.OPTIMIZERS,
}
# Dicts without a type, and what is read from them.
_LOOSE = {
    'auto_scale_lr': {'enable', 'base_batch_size'},
    'env_cfg': {'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'},
    'mp_cfg': {'mp_start_method', 'opencv_num_threads'},
    'randomness': {'seed', 'diff_rank_seed', 'deterministic'},
    'paramwise_cfg': {
        'custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'flat_decay_mult',
        'dwconv_decay_mult', 'dcn_offset_lr_mult', 'bypass_duplicate'},
    'rpn': {'assigner', 'sampler', 'allowed_border', 'pos_weight', 'debug', 'nms_pre',
            'max_per_img', 'nms', 'min_bbox_size'},
    'rpn_proposal': {'nms_pre', 'max_per_img', 'nms', 'min_bbox_size'},
    'rcnn': {'assigner', 'sampler', 'mask_size', 'pos_weight', 'debug', 'score_thr', 'nms',
             'max_per_img', 'mask_thr_binary'},
    'train_cfg': {'rpn', 'rpn_proposal', 'rcnn', 'assigner', 'sampler', 'allowed_border',
                  'pos_weight', 'debug', 'augments'},
    'test_cfg': {'rpn', 'rcnn', 'nms_pre', 'min_bbox_size', 'score_thr', 'nms', 'max_per_img'},
}
_LOADER = {'dataset', 'sampler', 'batch_sampler', 'num_batch_per_epoch', 'worker_init_fn',
           'collate_fn', 'disable_subprocess_warning'}


def check(context: ConfigContext) -> Iterator[Finding]:
    """Look through all parts of the config that mmengine, mmdet and mmpretrain read.

    Args:
        context (ConfigContext): The config.

    Yields:
        Finding: An error for a key or a type that does not exist, with the nearest that does.
    """
    config = context.config
    for place, key, near in misspelt_keys(config):
        yield _finding(f'{place}.{key}' if place else key, f'unknown key {key!r}', near)
    parts = _Parts(context.scope)
    yield from parts.module(config.model, 'model', registries.MODELS)
    yield from parts.module(config.get('data_preprocessor'), 'data_preprocessor',
                            registries.MODELS, 'ClsDataPreprocessor')
    for split in SPLITS:
        where = f'{split}_dataloader'
        loader = config.get(where) or {}
        yield from parts.known(loader, where, set(inspect.signature(DataLoader).parameters)
                               | _LOADER)
        yield from parts.module(loader.get('dataset'), f'{where}.dataset', registries.DATASETS)
        for key in ('sampler', 'batch_sampler'):
            yield from parts.module(loader.get(key), f'{where}.{key}', registries.DATA_SAMPLERS)
    yield from _loops(config, parts)
    yield from _optimisation(config, parts)
    for split in SPLITS[1:]:
        where = f'{split}_evaluator'
        kind = (config.get(where) or {})
        is_evaluator = isinstance(kind, dict) and 'metrics' in kind
        yield from parts.module(kind, where, registries.EVALUATOR if is_evaluator
                                else registries.METRICS, 'Evaluator' if is_evaluator else None)
    for where in ('default_hooks', 'custom_hooks'):
        hooks = config.get(where) or {}
        for name, hook in hooks.items() if isinstance(hooks, dict) else enumerate(hooks):
            yield from parts.module(hook, f'{where}.{name}', registries.HOOKS, extra={'priority'})
    yield from parts.module(config.get('visualizer'), 'visualizer', registries.VISUALIZERS)
    yield from parts.module(config.get('log_processor'), 'log_processor',
                            registries.LOG_PROCESSORS, 'LogProcessor')
    for where in ('auto_scale_lr', 'env_cfg', 'randomness'):
        yield from parts.loose(config.get(where) or {}, where)


def _loops(config: Config, parts: '_Parts') -> Iterator[Finding]:
    by_epoch = (config.get('train_cfg') or {}).get('by_epoch')
    for where, loop, extra in (
            ('train_cfg', EpochBasedTrainLoop if by_epoch else IterBasedTrainLoop, {'by_epoch'}),
            ('val_cfg', ValLoop, set()), ('test_cfg', TestLoop, set())):
        yield from parts.module(config.get(where), where, registries.LOOPS, loop, extra)


def _optimisation(config: Config, parts: '_Parts') -> Iterator[Finding]:
    wrapper = config.get('optim_wrapper')
    # A constructor of its own may read anything.
    if isinstance(wrapper, dict) and 'constructor' not in wrapper:
        yield from parts.module(wrapper, 'optim_wrapper', registries.OPTIM_WRAPPERS,
                                'OptimWrapper', {'paramwise_cfg'})
    schedulers = config.get('param_scheduler') or []
    for index, scheduler in enumerate([schedulers] if isinstance(schedulers, dict) else schedulers):
        yield from parts.module(scheduler, f'param_scheduler.{index}',
                                registries.PARAM_SCHEDULERS, extra={'convert_to_iter_based'})


class _Parts:
    """The walk through nested settings, each against the constructor that they go to."""

    def __init__(self, scope: str) -> None:
        self.scope = scope

    def module(self, node: Any, where: str, registry: Any = None, default: Any = None,
               extra: Any = frozenset(), scope: str | None = None) -> Iterator[Finding]:
        """Check something that is built, everything that is built in it, or a list of such."""
        scope = scope or self.scope
        if isinstance(node, (list, tuple)):
            for index, value in enumerate(node):
                yield from self.module(value, f'{where}.{index}', registry, default, extra, scope)
        if not isinstance(node, dict):
            return
        key = _key(where)
        if key == 'data_preprocessor' and scope == 'mmpretrain':
            default = default or 'ClsDataPreprocessor'
        kind = node.get('type', default)
        if kind is None:
            yield from self.loose(node, where, scope)
            return
        scope = node.get('_scope_') or scope
        found = find(kind, registry, scope)
        if found is None:
            yield _finding(f'{where}.type', f'there is no {kind!r}',
                           nearest(str(kind), names(registry, scope)))
        else:
            yield from self._arguments(node, where, found, _READ_BEFORE.get(key, set()) | extra)
        yield from self._children(node, where, scope)

    def loose(self, node: dict, where: str, scope: str | None = None) -> Iterator[Finding]:
        """Check a dict that is read key by key; an unknown key is a mistake if it is near one."""
        known = _LOOSE.get(_key(where)) or set()
        for key in sorted(set(node) - known, key=str) if known else ():
            near = nearest(str(key), known, cutoff=0.8)
            if near:
                yield _finding(f'{where}.{key}', f'unknown key {key!r}', near)
        yield from self._children(node, where, scope or self.scope)

    def known(self, node: dict, where: str, allowed: set) -> Iterator[Finding]:
        """Check keys of which all are known."""
        for key in sorted(set(node) - allowed):
            yield _finding(f'{where}.{key}', f'unknown key {key!r}', nearest(key, allowed))

    def _arguments(self, node: dict, where: str, found: Any, extra: set) -> Iterator[Finding]:
        known, takes_others = arguments(found)
        allowed = set(known) | extra
        for key in sorted(set(node) - allowed - {'type', '_scope_', '_delete_'}):
            # An argument that is passed on is a mistake only if a known one is similar.
            near = nearest(key, allowed, cutoff=0.85 if takes_others else 0.5)
            if near or not takes_others:
                name = getattr(found, '__name__', str(found))
                yield _finding(f'{where}.{key}', f'{name} has no argument {key!r}', near)

    def _children(self, node: dict, where: str, scope: str) -> Iterator[Finding]:
        for key, value in node.items():
            # Keys of these are the user's own: parts of names of parameters.
            if key != 'custom_keys' and isinstance(value, (dict, list, tuple)):
                yield from self.module(value, f'{where}.{key}', _KINDS.get(key), scope=scope)


def _key(where: str) -> str:
    """The last name in a dotted key; positions in lists are none."""
    return next((part for part in where.split('.')[::-1] if not part.isdigit()), '')


def _finding(where: str, message: str, near: str | None) -> Finding:
    suggestion = f'; did you mean {near!r}?' if near else ''
    return Finding('error', 'keys', where, message + suggestion, near or 'no such entry')
