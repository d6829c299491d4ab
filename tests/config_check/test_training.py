"""Learning rate, frozen stages, statistics, schedules."""
import pytest

from eca_mm.config_check import schedules, training
from eca_mm.config_check.context import ConfigContext
from eca_mm.engine.config import load_config
from tests.support.config_checks import changed, run
from tests.support.processes import ROOT


def find(config, gpus=None):
    return [(f.level, f.check, f.where) for f in run(training, config, gpus)]


def test_learning_rate(detector):
    where = 'optim_wrapper.optimizer.lr'
    assert find(detector, gpus=4) == []
    finding, = run(training, detector, gpus=1)
    assert (finding.level, finding.check, finding.where) == ('error', 'lr', where)
    assert '0.0025' in finding.expected and '1 GPUs x 2 images = 2' in finding.message
    assert '--gpus' not in finding.message
    unnamed = changed(detector, {})
    object.__setattr__(unnamed, '_filename', None)
    finding, = run(training, unnamed)
    assert finding.message.endswith('1 GPUs x 2 images = 2 (--gpus N for a run on N)')
    assert find(changed(detector, {'train_dataloader.batch_size': 16}), gpus=4) == [
        ('error', 'lr', where)]
    # Accumulated batches count, but mmengine's own scaling leaves them out.
    accumulated = {'optim_wrapper.accumulative_counts': 4}
    assert find(changed(detector, accumulated), gpus=1) == []
    enabled = {'auto_scale_lr.enable': True}
    assert find(changed(detector, enabled), gpus=1) == []
    finding, = run(training, changed(detector, {**accumulated, **enabled}), gpus=2)
    assert (finding.where, finding.expected) == (
        'auto_scale_lr.enable', 'enable=False and lr=0.02')


def test_frozen_stages_without_weights(detector):
    config = changed(detector, {'model.backbone.init_cfg': None})
    assert find(config) == [('error', 'frozen', 'model.backbone.frozen_stages'),
                            ('warning', 'frozen', 'model.backbone.norm_eval')]
    config.merge_from_dict({'model.backbone.frozen_stages': -1, 'model.backbone.norm_eval': False,
                            'train_dataloader.batch_size': 4, 'auto_scale_lr.base_batch_size': 16})
    assert find(config) == []


def test_statistics_of_few_images(detector):
    config = changed(detector, {'model.backbone.norm_eval': False})
    finding, = run(training, config)
    assert (finding.level, finding.check, finding.where) == (
        'warning', 'bn', 'model.backbone.norm_eval')
    assert '2 images' in finding.message
    assert find(changed(config, {'model.backbone.norm_cfg.type': 'SyncBN'})) == []
    assert find(changed(config, {'train_dataloader.batch_size': 8,
                                 'auto_scale_lr.base_batch_size': 32})) == []
    assert find(changed(detector, {'model.neck.norm_cfg': dict(type='BN')})) == [
        ('warning', 'bn', 'model.neck.norm_cfg')]


def test_a_learning_rate_of_ones_own(root, tmp_path):
    base = ROOT / 'configs/faster_rcnn/faster-rcnn_eca-r50_fpn_4xb2-1x_coco.py'
    path = tmp_path / 'mine.py'

    def rates(text):
        path.write_text(f'_base_ = {str(base)!r}\n{text}')
        return [f.where for f in run(training, load_config(str(path)), gpus=1) if f.check == 'lr']

    assert rates('') == ['optim_wrapper.optimizer.lr']
    assert rates('optim_wrapper = dict(optimizer=dict(lr=0.0025))') == []
    assert rates("optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=1e-4))") == []


@pytest.mark.parametrize(('changes', 'where', 'problem'), [
    ({'train_cfg.max_epochs': 11}, 'param_scheduler.1.milestones', 'milestones 11 are'),
    ({'train_cfg.max_epochs': 36}, 'param_scheduler.1.milestones', 'last milestone is 11 of 36'),
    ({'param_scheduler.1': dict(type='CosineAnnealingLR', T_max=150, begin=150, end=300)},
     'param_scheduler.1.begin', 'begins after 150 epochs, but training ends after 12'),
    ({'param_scheduler.1': dict(type='ConstantLR', begin=12, end=24)},
     'param_scheduler.1.begin', 'begins after 12'),
    ({'param_scheduler.1': dict(type='PolyLR', end=100)},
     'param_scheduler.1.end', 'before the 100'),
    ({'param_scheduler.1': dict(type='CosineAnnealingLR', T_max=100)},
     'param_scheduler.1.T_max', 'before the 100'),
    ({'param_scheduler.1': dict(type='CosineAnnealingLR', T_max=6)},
     'param_scheduler.1.T_max', 'raises it again'),
    ({'param_scheduler.1': dict(type='CosineAnnealingLR', T_max=6, end=6)},
     'param_scheduler.1.end', 'ends after 6 of 12 epochs'),
    ({'param_scheduler.1': dict(type='PolyLR', begin=1, end=8)},
     'param_scheduler.1.end', 'the rest of training has the smallest learning rate'),
    ({'param_scheduler.1': dict(type='LinearLR', start_factor=1, end_factor=.1, end=5)},
     'param_scheduler.1.end', 'ends after 5 of 12'),
    ({'param_scheduler.1': dict(type='LinearLR', start_factor=.1)},
     'param_scheduler.1.end', 'has no end'),
    ({'param_scheduler.1': dict(type='ConstantLR', factor=.5)},
     'param_scheduler.1.end', 'has no end'),
    ({'custom_hooks': [dict(type='EarlyStoppingHook', monitor='coco/bbox_mAP')]},
     'custom_hooks.0.min_delta', '0.1, the default'),
    ({'default_hooks.checkpoint.save_best': 'auto', 'val_evaluator.classwise': True,
      'val_evaluator.type': 'CocoMetric'}, 'default_hooks.checkpoint.save_best', 'first class'),
    ({'default_hooks.checkpoint.save_best': 'auto',
      'val_evaluator': [dict(type='CocoMetric', classwise=True)]},
     'default_hooks.checkpoint.save_best', 'first class'),
    ({'param_scheduler.1': dict(type='StepLR', step_size=30)},
     'param_scheduler.1.step_size', 'first step of StepLR after 30'),
    ({'param_scheduler': dict(_delete_=True, lr=[dict(type='MultiStepLR', milestones=[16])])},
     'param_scheduler.lr.0.milestones', 'milestones 16 are'),
])
def test_schedules_and_hooks_that_do_not_fit(detector, changes, where, problem):
    config = changed(detector, {})
    # Whole schedulers, not entries that would be merged into those of the base.
    for key in [key for key in changes if key == 'param_scheduler.1']:
        config.param_scheduler[1] = dict(changes[key])
    finding, = run(schedules, changed(config, {
        key: value for key, value in changes.items() if key != 'param_scheduler.1'}))
    assert (finding.level, finding.check, finding.where) == ('warning', 'schedule', where)
    assert problem in finding.message


@pytest.mark.parametrize('scheduler', [
    dict(type='CosineAnnealingLR', T_max=12, end=12),
    dict(type='MultiStepLR', milestones=[7]),
    dict(type='PolyLR', begin=1, end=11),
    dict(type='LinearLR', start_factor=.1, end=3),
    dict(type='ConstantLR', factor=.1, end=3),
    dict(type='ExponentialLR', gamma=.9, end=float('inf')),
    dict(type='CosineAnnealingLR', T_max=6, begin=6, end=12, convert_to_iter_based=True),
    # A length in iterations is not known here.
    dict(type='LinearLR', start_factor=.001, by_epoch=False, begin=0, end=500)])
def test_schedules_that_fit(detector, scheduler):
    config = changed(detector, {})
    config.param_scheduler[1] = scheduler
    assert run(schedules, config) == []


def test_a_schedule_that_another_one_follows_may_end_early(detector):
    config = changed(detector, {})
    for following in (dict(type='ConstantLR', factor=1, begin=6, end=12),
                      dict(type='MultiStepLR', milestones=[11])):
        config.param_scheduler = [dict(type='PolyLR', end=6), following]
        assert run(schedules, config) == []


@pytest.mark.parametrize(('scheduler', 'problem'), [
    (dict(type='MultiStepLR', milestones=[50, 70]),
     'ends after 60 iterations, before the milestones 70'),
    (dict(type='MultiStepLR', milestones=[10, 20]), 'last milestone is 20 of 60 iterations'),
    (dict(type='PolyLR', end=100), 'before the 100'), (dict(type='PolyLR', end=30), 'after 30 of'),
    (dict(type='MultiStepLR', milestones=[40, 55]), ''), (dict(type='PolyLR', end=60), ''),
    (dict(type='LinearLR', start_factor=.001, end=500), '')])
def test_iterations_are_counted_by_the_data(detector, scheduler, problem):
    # 12 epochs of 40 images, on 4 GPUs with 2 images each.
    config = changed(detector, {})
    config.param_scheduler = [dict(scheduler, by_epoch=False)]
    found = list(schedules.check_iterations(ConfigContext(config, gpus=4), 40))
    assert len(found) == bool(problem) and all(problem in f.message for f in found)
    # With an unknown number of GPUs it may be fewer, not more.
    object.__setattr__(config, '_filename', None)
    unknown = list(schedules.check_iterations(ConfigContext(config), 10))
    assert not any('last milestone' in f.message for f in unknown)


def test_schedules_by_epoch_in_a_training_by_iterations(detector):
    config = changed(detector, {'train_cfg': dict(
        _delete_=True, type='RepeatableIterLoop', max_iters=90000)})
    finding, = run(schedules, config)
    assert finding.where == 'param_scheduler.1.by_epoch' and 'MultiStepLR' in finding.message


def test_a_difference_of_accuracies_and_losses_is_on_their_scale(classifier):
    for monitor in ('accuracy/top1', 'loss'):
        config = changed(classifier, {'custom_hooks': [
            dict(type='ValLossHook'), dict(type='EarlyStoppingHook', monitor=monitor)]})
        assert run(schedules, config) == []


@pytest.mark.parametrize(('changes', 'where'), [
    ({'default_hooks.checkpoint.save_best': 'bbox_mAP'}, 'default_hooks.checkpoint.save_best'),
    ({'default_hooks.checkpoint.save_best': ['coco/bbox_mAP', 'accuracy/top1']},
     'default_hooks.checkpoint.save_best'),
    ({'default_hooks.checkpoint.save_best': 'accuracy/top1',
      'custom_hooks': [dict(type='ValLossHook')]}, 'default_hooks.checkpoint.save_best'),
    ({'custom_hooks': [dict(type='EarlyStoppingHook', monitor='bbox_mAP', min_delta=.001)]},
     'custom_hooks.0.monitor')])
def test_metrics_that_nobody_computes(detector, changes, where):
    finding, = run(schedules, changed(detector, changes))
    assert (finding.level, finding.where) == ('error', where)
    assert 'those of val_evaluator are coco/...' in finding.message


def test_metrics_that_are_computed(detector, classifier):
    for config, name in ((detector, 'coco/segm_mAP'), (classifier, 'accuracy/top1'),
                         (detector, 'auto')):
        assert run(schedules, changed(config, {
            'default_hooks.checkpoint.save_best': name})) == []
    assert run(schedules, changed(detector, {
        'default_hooks.checkpoint.save_best': 'loss',
        'custom_hooks': [dict(type='ValLossHook')]})) == []
