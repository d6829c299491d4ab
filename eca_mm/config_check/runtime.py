"""What a config loses by using other parts than our default runtimes."""
from collections.abc import Iterator

from mmengine.config import Config
from mmengine.registry import HOOKS

from eca_mm.datasets.pipelines import pipelines
from eca_mm.datasets.repeatable import is_seeded

from .context import ConfigContext, Finding
from .lookup import find

_NOT_EXACT = 'a resumed run does not repeat what an uninterrupted one would have done'
_HOOKS = {'StopOnInvalidLossHook': 'a run continues after its loss or weights became NaN',
          'KeepWorkDirHook': 'a work directory that is removed during the run goes unnoticed'}
_LOOPS = {'EpochBasedTrainLoop': 'RepeatableEpochLoop', 'IterBasedTrainLoop': 'RepeatableIterLoop'}


def check(context: ConfigContext) -> Iterator[Finding]:
    """Compare runner, loop, hooks and samplers with those that our configs name.

    Parts that are neither ours nor the stock ones are taken to be chosen on purpose. A config
    that names none of our parts gets one warning for all of them.

    Args:
        context (ConfigContext): The config.

    Yields:
        Finding: A warning for each part that is absent or a stock one, with what is lost.
    """
    config = context.config
    if not config.get('train_dataloader') or not config.get('train_cfg'):
        yield from _imports(config)
        return
    parts = [*_runner_and_hooks(config, context.scope), *_data_and_loop(config)]
    if any(found is None for found in parts):
        yield from _imports(config)
        yield from (found for found in parts if found is not None)
    else:
        yield _finding(
            'runner_type', "none of eca_mm's runner, hooks, loops and samplers is named: NaN "
            'losses do not stop a run, a full disk can cost checkpoints, and ' + _NOT_EXACT,
            "those of eca_mm::_base_/default_runtime_mmdet.py or ..._mmpretrain.py, or the config "
            'as it is; docs/reliability.md lists each')


def _imports(config: Config) -> Iterator[Finding]:
    imports = (config.get('custom_imports') or {}).get('imports') or []
    names = [imports] if isinstance(imports, str) else imports
    if _name(config.get('runner_type')) == 'CheckedRunner' and not any(
            str(name).split('.')[0] == 'eca_mm' for name in names):
        yield _finding(
            'custom_imports.imports', "eca_mm is missing (a child's custom_imports replaces its "
            "base's): MMDetection's and MMPretrain's own tools will not find CheckedRunner or "
            'any other part of eca_mm, unless another import loads it',
            repr(['eca_mm', *map(str, names)]))


def _runner_and_hooks(config: Config, scope: str) -> Iterator[Finding | None]:
    """Yield a finding for each part that is missing, and None for each that is there."""
    runner = _name(config.get('runner_type'))
    if runner == 'CheckedRunner':
        yield None
    elif runner in ('', 'Runner'):
        yield _finding('runner_type', f'with {runner or "no runner_type"} weights that do not fit '
                       'the model, unreadable images and a second run in the same work directory '
                       "go unnoticed" + ('' if runner else " under other packages' tools"),
                       "'CheckedRunner'")
    hooks = config.get('default_hooks') or {}
    hook = hooks.get('checkpoint', dict(type='CheckpointHook'))
    kind = _name(hook.get('type')) if isinstance(hook, dict) else ''
    if kind == 'SafeCheckpointHook':
        yield None
    elif kind == 'CheckpointHook':
        yield _finding('default_hooks.checkpoint.type', 'with CheckpointHook a full disk or an '
                       'earlier run in the same folder can cost checkpoints',
                       "'SafeCheckpointHook'")
    # A hook's former name and a subclass of it do the same.
    names = {base.__name__ for each in config.get('custom_hooks') or () if isinstance(each, dict)
             for base in getattr(find(each.get('type'), HOOKS, scope), '__mro__', ())}
    for name, lost in _HOOKS.items():
        yield None if name in names else _finding(
            'custom_hooks', f'without {name} {lost}', f"dict(type='{name}')")


def _data_and_loop(config: Config) -> Iterator[Finding | None]:
    """Yield a finding for each part that is missing, and None for each that is there."""
    loop = config.train_cfg
    kind = _name(loop.get('type')) or (
        'EpochBasedTrainLoop' if loop.get('by_epoch') else 'IterBasedTrainLoop')
    if kind in _LOOPS.values():
        yield None
    elif kind in _LOOPS:
        yield _finding('train_cfg.type', f'with {kind} {_NOT_EXACT}', repr(_LOOPS[kind]))
    loader = config.train_dataloader
    yield None if is_seeded(loader.get('batch_sampler')) else _finding(
        'train_dataloader.batch_sampler', f'without SeededBatchSampler {_NOT_EXACT}',
        "dict(type='SeededBatchSampler', batch_sampler=...)")
    for where, steps in pipelines(loader, 'train_dataloader'):
        yield None if any(map(is_seeded, steps)) else _finding(
            where, f'without SeedSample {_NOT_EXACT}',
            "dict(type='SeedSample') as the first transform")


def _name(kind: object) -> str:
    return kind.rpartition('.')[2] if isinstance(kind, str) else getattr(kind, '__name__', '')


def _finding(where: str, message: str, expected: str) -> Finding:
    return Finding('warning', 'runtime', where, message, expected)
