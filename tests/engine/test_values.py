"""Unusable numbers in a config are named, each with a one-line error."""
import pytest
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper
from mmengine.registry import OPTIM_WRAPPERS

from eca_mm.engine import CheckedRunner
from eca_mm.engine.config import check_keys
from eca_mm.engine.options import check_amp, has_amp
from eca_mm.engine.values import bad_values
from eca_mm.utils.errors import UserError

GOOD = {
    'model': {}, 'train_dataloader': {'batch_size': 2, 'num_workers': 0},
    'train_cfg': {'max_epochs': 1.0}, 'randomness': {'seed': 0},
    'optim_wrapper': {'optimizer': {'lr': 0.1, 'weight_decay': 0}, 'accumulative_counts': 2}}


@pytest.mark.parametrize(('key', 'value'), [
    ('train_dataloader.batch_size', 0), ('train_dataloader.batch_size', 2.5),
    ('train_dataloader.batch_size', True), ('train_dataloader.num_workers', -1),
    ('train_dataloader.num_workers', '4'), ('randomness.seed', -1), ('randomness.seed', 2**32),
    ('optim_wrapper.optimizer.lr', 'big'), ('optim_wrapper.optimizer.lr', '1e-3'),
    ('optim_wrapper.optimizer.lr', -0.1), ('optim_wrapper.optimizer.lr', float('inf')),
    ('optim_wrapper.optimizer.lr', float('nan')),
    ('optim_wrapper.accumulative_counts', 0), ('train_cfg.max_epochs', 0),
    ('train_cfg.max_epochs', 1.5), ('train_cfg.max_epochs', '3'), ('train_cfg.max_epochs', -1),
    ('train_cfg.val_interval', 0), ('train_cfg.val_interval', '1'), ('train_cfg.val_begin', -1),
    ('train_cfg.max_iters', '9'), ('train_dataloader.batch_size', '2'),
    ('train_dataloader.prefetch_factor', 0), ('train_dataloader.num_workers', 1.5),
    ('randomness.seed', '1'), ('optim_wrapper.optimizer.momentum', '0.9'),
    ('optim_wrapper.optimizer.betas', [0.9]), ('optim_wrapper.optimizer.betas', [0.9, 1.5]),
    ('optim_wrapper.clip_grad.max_norm', 'x'), ('optim_wrapper.clip_grad.max_norm', 0),
    ('optim_wrapper.loss_scale', 'big'), ('optim_wrapper.loss_scale', 512),
    ('optim_wrapper.d.optimizer.lr', 'big'), ('param_scheduler.0.milestones', 8),
    ('param_scheduler.0.milestones', ['8']), ('param_scheduler.0.gamma', '0.1'),
    ('param_scheduler.0.end', 0), ('param_scheduler.0.T_max', '12'),
    ('default_hooks.logger.interval', 0), ('default_hooks.checkpoint.interval', '1'),
    ('default_hooks.checkpoint.max_keep_ckpts', 1.5), ('auto_scale_lr.base_batch_size', '16'),
    ('resume', 'yes'), ('load_from', 3), ('work_dir', 3), ('log_level', 'LOUD'),
    ('model', None), ('model', 'resnet'), ('train_dataloader', 5), ('train_dataloader.sampler', 5),
    ('custom_hooks', 5), ('custom_hooks', {'type': 'EMAHook'}), ('env_cfg', 'x'), ('visualizer', 5),
    ('default_hooks', 5), ('default_hooks', []), ('randomness', 1), ('test_evaluator', 'bbox')])
def test_a_value_that_cannot_be_used(key, value):
    config = Config({**GOOD, 'param_scheduler': [{'type': 'LinearLR'}]})
    assert list(bad_values(config)) == []
    if '.d.' in key:
        config.optim_wrapper = {'constructor': 'Own'}
    if key == 'test_evaluator':
        config.merge_from_dict({'test_dataloader': {}, 'test_cfg': {}})
    config.merge_from_dict({key: value})
    with pytest.raises(UserError, match=f'{key} of the config is .*, but must be'):
        check_keys(config)


def test_values_that_are_fine_and_a_runner_of_another_tool():
    config = Config({**GOOD, 'param_scheduler': [
        {'type': 'LinearLR', 'start_factor': 0.001, 'begin': 0, 'end': 500, 'by_epoch': False},
        {'type': 'MultiStepLR', 'milestones': [8, 11], 'gamma': 0.1}],
        'log_level': 'INFO', 'resume': False, 'load_from': None, 'auto_scale_lr': {
            'enable': False, 'base_batch_size': 16},
        'default_hooks': {'checkpoint': {'interval': -1, 'max_keep_ckpts': -1},
                          'logger': {'interval': 50}}})
    config.optim_wrapper.update(clip_grad={'max_norm': 35, 'norm_type': 2}, loss_scale='dynamic')
    assert list(bad_values(config)) == []
    # To clip by the largest gradient, to measure without clipping, and Adafactor's pair.
    config.optim_wrapper.clip_grad = {'max_norm': float('inf'), 'norm_type': 'inf'}
    config.optim_wrapper.optimizer.eps = (1e-30, 1e-3)
    assert list(bad_values(config)) == []
    # MMDetection's train.py reads its config by itself.
    config.train_cfg.max_epochs = '3'
    with pytest.raises(UserError, match="train_cfg.max_epochs of the config is '3', but must be"):
        CheckedRunner.from_cfg(config)


class OwnAmp(AmpOptimWrapper):
    pass


@pytest.mark.skipif(has_amp(), reason='it works on a GPU')
@pytest.mark.parametrize('kind', [
    'AmpOptimWrapper', 'mmengine.AmpOptimWrapper', 'mmengine.optim.AmpOptimWrapper',
    AmpOptimWrapper, OwnAmp, 'FP16Wrapper'])
@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_mixed_precision_needs_a_gpu_by_whatever_name(kind, dtype):
    OPTIM_WRAPPERS.register_module('FP16Wrapper', force=True, module=OwnAmp)
    wrapper = {'type': kind, 'dtype': dtype, 'optimizer': {'type': 'SGD', 'lr': .1}}
    for config in (wrapper, {'constructor': 'X', 'generator': wrapper}):
        with pytest.raises(UserError, match='mixed precision needs a GPU'):
            check_amp(config)
    check_amp({**wrapper, 'type': 'OptimWrapper'})
    check_amp({**wrapper, 'type': 'Absent'})
