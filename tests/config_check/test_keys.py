"""Keys that nothing reads, of today and of older versions."""
import pytest
from mmengine.config import Config

from eca_mm.config_check import keys
from eca_mm.engine.config import check_keys
from eca_mm.utils.errors import UserError
from tests.support.config_checks import changed, find, run


@pytest.mark.parametrize(('changes', 'where', 'expected'), [
    ({'train_dataloder': {}}, 'train_dataloder', 'train_dataloader'),
    ({'default_hooks.chekpoint': {}}, 'default_hooks.chekpoint', 'checkpoint'),
    ({'default_hooks.checkpoint.intervall': 2}, 'default_hooks.checkpoint.intervall', 'interval'),
    ({'custom_hooks.0.priorty': 2}, 'custom_hooks.0.priorty', 'priority'),
    ({'model.backbone.dept': 18}, 'model.backbone.dept', 'depth'),
    # An argument that three constructors hand on to the next.
    ({'model.backbone.frozen_stage': 1}, 'model.backbone.frozen_stage', 'frozen_stages'),
    ({'model.backbone.type': 'ECAResnet'}, 'model.backbone.type', 'ECAResNet'),
    ({'model.roi_head.bbox_head.num_class': 3}, 'model.roi_head.bbox_head.num_class',
     'num_classes'),
    ({'model.roi_head.bbox_head.loss_cls.loss_wieght': 3},
     'model.roi_head.bbox_head.loss_cls.loss_wieght', 'loss_weight'),
    ({'model.roi_head.bbox_roi_extractor.roi_layer.output_sizes': 7},
     'model.roi_head.bbox_roi_extractor.roi_layer.output_sizes', 'output_size'),
    ({'model.test_cfg.rcnn.score_thresh': 0.1}, 'model.test_cfg.rcnn.score_thresh', 'score_thr'),
    ({'model.train_cfg.rpn.assigner.pos_iou_thresh': 1},
     'model.train_cfg.rpn.assigner.pos_iou_thresh', 'pos_iou_thr'),
    ({'train_dataloader.num_worker': 1}, 'train_dataloader.num_worker', 'num_workers'),
    ({'train_dataloader.sampler.shufle': 1}, 'train_dataloader.sampler.shufle', 'shuffle'),
    ({'train_dataloader.dataset.pipeline.3.scal': 1}, 'train_dataloader.dataset.pipeline.3.scal',
     'scale'),
    ({'train_dataloader.dataset.pipeline.3.type': 'Resise'},
     'train_dataloader.dataset.pipeline.3.type', 'Resize'),
    ({'train_dataloader.dataset.filter_cfgs': {}}, 'train_dataloader.dataset.filter_cfgs',
     'filter_cfg'),
    ({'train_cfg.max_epoch': 1}, 'train_cfg.max_epoch', 'max_epochs'),
    ({'optim_wrapper.clip_gradd': {}}, 'optim_wrapper.clip_gradd', 'clip_grad'),
    ({'optim_wrapper.optimizer.momentun': 0}, 'optim_wrapper.optimizer.momentun', 'momentum'),
    ({'optim_wrapper.paramwise_cfg': {'norm_decay_mul': 0, 'custom_keys': {'norm_decay_mul': {}}}},
     'optim_wrapper.paramwise_cfg.norm_decay_mul', 'norm_decay_mult'),
    ({'param_scheduler.1.milestone': [8]}, 'param_scheduler.1.milestone', 'milestones'),
    ({'val_evaluator.metrics_items': 1}, 'val_evaluator.metrics_items', 'metric_items'),
    ({'visualizer.nam': 1}, 'visualizer.nam', 'name'),
    ({'log_processor.windowsize': 1}, 'log_processor.windowsize', 'window_size'),
    ({'env_cfg.cudnn_benchmrk': True}, 'env_cfg.cudnn_benchmrk', 'cudnn_benchmark'),
    ({'auto_scale_lr.base_batchsize': 8}, 'auto_scale_lr.base_batchsize', 'base_batch_size'),
])
def test_unknown_keys(detector, changes, where, expected):
    found = run(keys, changed(detector, changes))
    assert [(f.level, f.where, f.expected) for f in found] == [('error', where, expected)]
    assert f'did you mean {expected!r}?' in found[0].message


@pytest.mark.parametrize(('changes', 'where', 'message'), [
    ({'train_dataloader.fast': True}, 'train_dataloader.fast', 'data loader has no argument'),
    ({'train_cfg.workflow': [('train', 1)]}, 'train_cfg.workflow', 'Loop has no argument'),
    ({'val_cfg.interval': 2}, 'val_cfg.interval', 'ValLoop has no argument'),
    ({'custom_hooks.0.type': 'TextLoggerHook'}, 'custom_hooks.0.type', 'any more')])
def test_what_is_only_built_when_training_starts(detector, changes, where, message):
    finding, = run(keys, changed(detector, changes))
    assert (finding.level, finding.where) == ('error', where) and message in finding.message


def test_user_variables_are_accepted(detector):
    changes = {'classes': ('a', ), 'data_root': 'x', 'model.backbone.norm_cfg.eps': 1e-5,
               'train_dataloader.dataset.pipeline.3.backend': 'pillow'}
    assert find(changed(detector, changes)) == []


def test_a_config_without_parts():
    assert find(Config(dict(train_cfg={}))) == [('error', 'keys', '')]


OLD = {
    'optimizer': dict(type='SGD', lr=0.5), 'lr_config': dict(policy='step', step=[1]),
    'runner': dict(type='EpochBasedRunner', max_epochs=50), 'total_epochs': 50,
    'evaluation': dict(interval=1), 'checkpoint_config': dict(interval=5),
    'log_config': dict(interval=1), 'workflow': [('train', 1)], 'resume_from': 'x.pth',
    'fp16': dict(loss_scale=512.), 'train_dataset': dict(ann_file='x.json'),
    'data': dict(samples_per_gpu=2)}


@pytest.mark.parametrize('key', OLD)
def test_settings_of_older_versions_name_the_place_of_today(detector, key):
    config = changed(detector, {key: OLD[key]})
    where = 'data.samples_per_gpu' if key == 'data' else key
    found = run(keys, config)
    assert [(f.level, f.where) for f in found] == [('error', where)]
    assert any(part in found[0].expected for part in (
        'optim_wrapper', 'param_scheduler', 'train_cfg', 'default_hooks', 'resume=', '_dataloader'))
    with pytest.raises(UserError, match=f'{where} .now '):
        check_keys(config)


@pytest.mark.parametrize(('key', 'place'), [
    ('samples_per_gpu', 'batch_size'), ('imgs_per_gpu', 'batch_size'),
    ('workers_per_gpu', 'num_workers')])
def test_settings_of_older_versions_in_a_loader(detector, key, place):
    config = changed(detector, {f'val_dataloader.{key}': 2})
    finding, = run(keys, config)
    assert finding.expected == f'val_dataloader=dict({place}=...)'
    with pytest.raises(UserError, match=f'val_dataloader.{key} .now '):
        check_keys(config)


def test_settings_of_the_model_that_stood_beside_it(detector):
    config = changed(detector, {'test_cfg.rcnn': dict(score_thr=0.05), 'train_cfg.rpn': dict()})
    assert {('train_cfg.rpn', 'model=dict(train_cfg=dict(rpn=...))'),
            ('test_cfg.rcnn', 'model=dict(test_cfg=dict(rcnn=...))')} <= {
                (f.where, f.expected) for f in run(keys, config)}
    with pytest.raises(UserError, match=r'train_cfg.rpn \(now model=dict'):
        check_keys(config)


def test_variables_of_an_old_name_are_fine(detector):
    # As mmdet's own configs of today do.
    variables = {'train_dataset': detector.train_dataloader.dataset, 'data': dict(type='X'),
                 'optimizer': detector.optim_wrapper.optimizer, 'fp16': True, 'workflow': 'mine'}
    check_keys(changed(detector, variables))
    check_keys(changed(detector, {**variables, 'train_dataloader.dataset.ann_file': 'x.json'}))
    # As MMSegmentation's do, of which mmengine notes the scope at one of the two places.
    check_keys(changed(detector, {'optimizer': {
        **detector.optim_wrapper.optimizer, '_scope_': 'mmseg'}}))


def test_a_batch_of_an_old_name_that_is_the_batch_of_today(classifier):
    # As in mmpretrain's HorNet.
    batch = classifier.train_dataloader.batch_size
    check_keys(changed(classifier, {'data': dict(samples_per_gpu=batch)}))
    with pytest.raises(UserError, match='data.samples_per_gpu .now '):
        check_keys(changed(classifier, {'data': dict(samples_per_gpu=batch + 1)}))
    # A variable for a data set, not the section of old.
    check_keys(changed(classifier, {'data': dict(type='CustomDataset', test='images')}))
