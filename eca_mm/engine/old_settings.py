"""Settings of MMDetection 1 and 2 and MMClassification 0, or misplaced, which mmengine ignores."""
import re
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device

from eca_mm.datasets.pipelines import rebuild, walk

# Today's place of each, and what it is equal to where a config uses its name for a variable.
_PLACES: dict[str, tuple[str, str]] = {
    'optimizer': ('optim_wrapper=dict(optimizer=...)', 'optim_wrapper.optimizer'),
    'optimizer_config': ('optim_wrapper=dict(clip_grad=...)', ''),
    'lr_config': ('param_scheduler=[...]', ''),
    'momentum_config': ('param_scheduler=[...]', ''),
    'runner': ("train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=...)", ''),
    'total_epochs': ('train_cfg=dict(max_epochs=...)', 'train_cfg.max_epochs'),
    'total_iters': ('train_cfg=dict(max_iters=...)', 'train_cfg.max_iters'),
    'evaluation': ('val_evaluator=dict(...), train_cfg=dict(val_interval=...) and '
                   'default_hooks=dict(checkpoint=dict(save_best=...))', 'val_evaluator'),
    'checkpoint_config': ('default_hooks=dict(checkpoint=dict(...))', 'default_hooks.checkpoint'),
    'log_config': ('default_hooks=dict(logger=dict(...)) and visualizer=dict(vis_backends=[...])',
                   'default_hooks.logger'),
    'resume_from': ('load_from=... with resume=True, or --resume', 'load_from'),
    'workflow': ('train_cfg=dict(val_interval=...) and val_cfg=dict()', ''),
    'fp16': ("optim_wrapper=dict(type='AmpOptimWrapper'), or --amp", ''),
    'dist_params': ('env_cfg=dict(dist_cfg=...)', 'env_cfg.dist_cfg'),
    'train_dataset': ('train_dataloader=dict(dataset=...)', 'train_dataloader.dataset'),
    'val_dataset': ('val_dataloader=dict(dataset=...)', 'val_dataloader.dataset'),
    'test_dataset': ('test_dataloader=dict(dataset=...)', 'test_dataloader.dataset'),
}
# What versions before, and command lines of theirs, wrote at the top of a config as well.
_OF_THE_RUN: dict[str, tuple[str, str]] = {
    'seed': ('randomness=dict(seed=...)', 'randomness.seed'),
    'deterministic': ('randomness=dict(deterministic=True)', 'randomness.deterministic'),
    'auto_resume': ('resume=True, or --resume', 'resume'),
    'gpu_ids': ('CUDA_VISIBLE_DEVICES in the environment, and tools/dist_train.sh for several', ''),
    'device': ('CUDA_VISIBLE_DEVICES in the environment, empty for the CPU', ''),
    'opencv_num_threads': ('env_cfg=dict(mp_cfg=dict(opencv_num_threads=...))',
                           'env_cfg.mp_cfg.opencv_num_threads'),
    'mp_start_method': ('env_cfg=dict(mp_cfg=dict(mp_start_method=...))',
                        'env_cfg.mp_cfg.mp_start_method'),
    'dist_cfg': ('env_cfg=dict(dist_cfg=...)', 'env_cfg.dist_cfg'),
    'mp_cfg': ('env_cfg=dict(mp_cfg=...)', 'env_cfg.mp_cfg'),
    'paramwise_cfg': ('optim_wrapper=dict(paramwise_cfg=...)', 'optim_wrapper.paramwise_cfg'),
    'clip_grad': ('optim_wrapper=dict(clip_grad=...)', 'optim_wrapper.clip_grad'),
    'grad_clip': ('optim_wrapper=dict(clip_grad=...)', 'optim_wrapper.clip_grad'),
    'checkpoint': ('default_hooks=dict(checkpoint=...)', 'default_hooks.checkpoint'),
    'logger': ('default_hooks=dict(logger=...)', 'default_hooks.logger')}
_ENV = ('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit')
_MISPLACED = {
    'seed': 'randomness=dict(seed=...)', 'deterministic': 'randomness=dict(deterministic=True)',
    'find_unused_parameters': 'find_unused_parameters=True at the top of the config',
    'opencv_num_threads': 'env_cfg=dict(mp_cfg=dict(opencv_num_threads=...))',
    'mp_start_method': 'env_cfg=dict(mp_cfg=dict(mp_start_method=...))',
    'backend': 'env_cfg=dict(dist_cfg=dict(backend=...))',
    'timeout': 'env_cfg=dict(dist_cfg=dict(timeout=...))',
    'cudnn_deterministic': 'randomness=dict(deterministic=True)'}
_DATA = {'samples_per_gpu': 'train_dataloader=dict(batch_size=...)',
         'workers_per_gpu': 'train_dataloader=dict(num_workers=...)',
         'imgs_per_gpu': 'train_dataloader=dict(batch_size=...)',
         'train': 'train_dataloader=dict(dataset=...)', 'val': 'val_dataloader=dict(dataset=...)',
         'test': 'test_dataloader=dict(dataset=...)',
         'train_dataloader': 'train_dataloader=dict(...)',
         'val_dataloader': 'val_dataloader=dict(...)',
         'test_dataloader': 'test_dataloader=dict(...)'}
_LOADER = {'samples_per_gpu': 'batch_size', 'imgs_per_gpu': 'batch_size',
           'workers_per_gpu': 'num_workers'}
_DEVICE = re.compile(r'(cpu|cuda|npu|mps|mlu|musa)(:\d+)?')
# Types of theirs, and what takes their place.
OLD_TYPES = {
    'DefaultFormatBundle': "PackDetInputs or PackInputs, which ends today's pipelines",
    'Collect': "PackDetInputs or PackInputs, which ends today's pipelines",
    'ImageToTensor': "PackDetInputs or PackInputs, which ends today's pipelines",
    'EpochBasedRunner': 'EpochBasedTrainLoop', 'IterBasedRunner': 'IterBasedTrainLoop',
    'TextLoggerHook': 'LoggerHook, in default_hooks.logger',
    'TensorboardLoggerHook': "visualizer=dict(vis_backends=[dict(type='TensorboardVisBackend')])",
    'ExpMomentumEMAHook': "dict(type='EMAHook', ema_type='ExpMomentumEMA')"}
# What MMDetection 1 had in train_cfg and test_cfg beside the model; today's are loops.
_OF_THE_MODEL = ('rpn', 'rpn_proposal', 'rcnn', 'assigner', 'nms', 'nms_pre', 'score_thr',
                 'max_per_img')


def old_settings(config: Config) -> Iterator[tuple[str, str]]:
    """Find settings that older versions read and today's do not.

    A variable of the config that has such a name and whose value stands at today's place too is
    not one.

    Args:
        config (Config): A resolved config.

    Yields:
        tuple[str, str]: Dotted key, and today's place of it.
    """
    for key, (place, today) in _PLACES.items():
        value = config.get(key)
        if value is None or (today and _is_variable(key, value, _get(config, today))):
            continue
        # A number or text of this name is a variable of the user.
        if isinstance(value, dict | list | tuple) or key.startswith(('total_', 'resume_')):
            yield key, place
    yield from _settings_of_the_run(config)
    for key in ('train_cfg', 'test_cfg'):
        for name in _OF_THE_MODEL:
            if name in (config.get(key) or ()):
                yield f'{key}.{name}', f'model=dict({key}=dict({name}=...))'
    for split in ('train', 'val', 'test'):
        loader = config.get(f'{split}_dataloader')
        for key, today in _LOADER.items():
            if isinstance(loader, dict) and key in loader:
                yield f'{split}_dataloader.{key}', f'{split}_dataloader=dict({today}=...)'
    data = config.get('data')
    if isinstance(data, dict):
        for key, place in _DATA.items():
            today = key if 'dataloader' in key else f'{key}_dataloader.dataset'
            # MMPretrain's own HorNets state their batch that way too.
            if key in _LOADER and config.get('default_scope') == 'mmpretrain':
                today = f'train_dataloader.{_LOADER[key]}'
            if key in data and 'type' not in data and _get(config, today) != data[key]:
                yield f'data.{key}', place


def _settings_of_the_run(config: Config) -> Iterator[tuple[str, str]]:
    """Settings of the run and its environment at places where nothing reads them."""
    for key, (place, today) in _OF_THE_RUN.items():
        value = config.get(key)
        if value is None or value is False or _is_default(key, value):
            continue
        of_a_part = today.partition('.')[0] in ('optim_wrapper', 'default_hooks')
        if of_a_part and not isinstance(value, dict):
            continue
        if not _is_used(config, key, value) and _get(config, today) != value:
            yield key, place
    for key in config.get('env_cfg') or ():
        if key not in _ENV and key in _MISPLACED:
            yield f'env_cfg.{key}', _MISPLACED[key]
    wrapper = config.get('model_wrapper_cfg')
    if wrapper and config.get('find_unused_parameters') and (
            'find_unused_parameters' not in wrapper):
        yield 'find_unused_parameters', 'model_wrapper_cfg=dict(find_unused_parameters=True)'


def _is_default(key: str, value: Any) -> bool:
    """Whether a run does the same without."""
    if key == 'gpu_ids':
        return value == 0 or list(value if isinstance(value, list | tuple | range) else ()) == [0]
    if key == 'device':
        return not isinstance(value, str) or value == get_device() or value in (
            'auto', f'{get_device()}:0') or not _DEVICE.fullmatch(value)
    return False


def _is_used(config: Config, key: str, value: Any) -> bool:
    """Whether anything below the top of a config has a variable's name and value."""
    return any(node.get(key) == value for where, node in walk(dict(config)) if where)


def _is_variable(key: str, value: Any, today: Any) -> bool:
    """Whether a config only uses the name for what it puts at today's place.

    mmdet's own configs do so with data sets, and who inherits them changes only the latter.
    """
    if key.endswith('_dataset') and isinstance(value, dict) and isinstance(today, dict):
        return 'type' in value and value['type'] == today.get('type')
    return rebuild(value, _without_scope) == rebuild(today, _without_scope)


def _without_scope(node: dict) -> dict:
    """Of one value inherited twice, mmengine notes the scope at one place only."""
    return {key: value for key, value in node.items() if key != '_scope_'}


def _get(config: Config, key: str) -> Any:
    node = config
    for part in key.split('.'):
        node = node.get(part) if isinstance(node, dict | Config) else None
    return node
