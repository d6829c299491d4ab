"""Every kind of mistake, planted in a config that is otherwise right, is found and nothing else."""
import copy
import json

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from eca_mm.config_check import check_config
from eca_mm.engine.config import load_config
from tests.support import samples
from tests.support.processes import ROOT, run_tool

TOOL = 'analysis_tools/check_config.py'
NECK = {18: [64, 128, 256, 512], 50: [256, 512, 1024, 2048]}


def find(config: Config, gpus: int | None = None) -> list[tuple[str, str, str]]:
    return [(f.level, f.check, f.where) for f in check_config(config, gpus)]


def changed(config: Config, changes: dict) -> Config:
    config = copy.deepcopy(config)
    config.merge_from_dict(changes)
    return config


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """A folder with COCO data of 3 classes, folders of 3 classes, and ResNet-18's weights."""
    root = tmp_path_factory.mktemp('data')
    samples.draw_coco(root / 'coco')
    samples.draw_classes(root / 'classes', images=1)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        backbone = MODELS.build(dict(type='ECAResNet', depth=18))
    weights = {f'backbone.{name}': value for name, value in backbone.state_dict().items()}
    torch.save({'state_dict': weights}, root / 'r18.pth')
    torch.save({name: value for name, value in weights.items() if '.eca.' not in name},
               root / 'plain.pth')
    torch.save({**weights, 'backbone.layer3.5.conv1.weight': torch.zeros(1)}, root / 'deeper.pth')
    return root


@pytest.fixture(scope='module')
def detector(root):
    """A Mask R-CNN with the paper's settings on those data: nothing to object to."""
    config = load_config(str(ROOT / 'configs/mask_rcnn/mask-rcnn_eca-r50_fpn_4xb2-1x_coco.py'))
    config.merge_from_dict({
        'model.backbone.depth': 18, 'model.backbone.init_cfg.checkpoint': str(root / 'r18.pth'),
        'model.backbone.kernel_size': 'adaptive', 'model.neck.in_channels': NECK[18],
        'model.roi_head.bbox_head.num_classes': 3, 'model.roi_head.mask_head.num_classes': 3})
    for split in ('train', 'val', 'test'):
        config.merge_from_dict({f'{split}_dataloader.dataset': dict(
            data_root=str(root / 'coco'), ann_file='annotations.json',
            data_prefix=dict(img='images/'), metainfo=dict(classes=samples.CLASSES))})
        if split != 'train':
            config[f'{split}_evaluator'].ann_file = str(root / 'coco/annotations.json')
    return config


@pytest.fixture(scope='module')
def classifier(root):
    """An ECA-ResNet-18 on folders of three classes: nothing to object to."""
    config = load_config(str(ROOT / 'configs/eca_resnet/eca-resnet18_4xb64_in1k.py'))
    config.model.head.update(num_classes=3, topk=(1, ))
    config.data_preprocessor.num_classes = 3
    for split in ('train', 'val', 'test'):
        loader = config[f'{split}_dataloader']
        loader.dataset = dict(type='CustomDataset', data_root=str(root / 'classes'),
                              pipeline=loader.dataset.pipeline)
        if split != 'train':
            config[f'{split}_evaluator'].topk = (1, )
    return config


def test_a_sound_config_has_no_findings(detector, classifier):
    assert check_config(detector) == check_config(classifier) == []


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
    ({'train_dataloader.dataset.pipeline.2.scal': 1}, 'train_dataloader.dataset.pipeline.2.scal',
     'scale'),
    ({'train_dataloader.dataset.pipeline.2.type': 'Resise'},
     'train_dataloader.dataset.pipeline.2.type', 'Resize'),
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
    found = [f for f in check_config(changed(detector, changes)) if f.check == 'keys']
    assert [(f.level, f.where, f.expected) for f in found] == [('error', where, expected)]
    assert f'did you mean {expected!r}?' in found[0].message


def test_variables_of_ones_own_are_no_mistakes(detector):
    changes = {'classes': ('a', ), 'data_root': 'x', 'model.backbone.norm_cfg.eps': 1e-5,
               'train_dataloader.dataset.pipeline.2.backend': 'pillow'}
    assert find(changed(detector, changes)) == []


def test_numbers_of_classes(detector, classifier):
    where = 'model.roi_head.mask_head.num_classes'
    finding, = check_config(changed(detector, {where: 80}))
    assert (finding.level, finding.check, finding.where, finding.expected) == (
        'error', 'classes', where, 'num_classes=3')
    heads = [copy.deepcopy(detector.model.roi_head.bbox_head) for _ in range(2)]
    heads[1].num_classes = 4
    assert find(changed(detector, {'model.roi_head.bbox_head': heads})) == [
        ('error', 'classes', 'model.roi_head.bbox_head.1.num_classes')]
    # What the config leaves to mmdet is 80.
    config = copy.deepcopy(detector)
    del config.model.roi_head.bbox_head.num_classes
    assert find(config) == [('error', 'classes', 'model.roi_head.bbox_head.num_classes')]
    assert find(changed(classifier, {'model.head.num_classes': 1000})) == [
        ('error', 'classes', 'model.head.num_classes')]
    number = {'data_preprocessor.num_classes': 4}
    assert find(changed(classifier, number)) == []
    mixup = dict(augments=dict(type='Mixup', alpha=0.2))
    assert find(changed(classifier, {**number, 'model.train_cfg': mixup})) == [
        ('error', 'classes', 'data_preprocessor.num_classes')]


def test_names_of_classes(detector, classifier, root):
    def named(*classes):
        config = copy.deepcopy(detector)
        for split in ('train', 'val', 'test'):
            config[f'{split}_dataloader'].dataset.metainfo = dict(classes=classes)
        return config

    places = [f'{split}_dataloader.dataset.metainfo.classes' for split in ('train', 'val')]
    found = check_config(named('red', 'gren', 'blue'))
    assert [(f.level, f.where) for f in found] == [('error', place) for place in places]
    assert "no category 'gren'" in found[0].message
    # Any order will do where labels go by the names; mmdet's own go by the file.
    assert check_config(named('green', 'red', 'blue')) == []
    stock = {f'{split}_dataloader.dataset.type': 'CocoDataset' for split in ('train', 'val')}
    found = check_config(changed(named('green', 'red', 'blue'), stock))
    assert [(f.level, f.where) for f in found if f.check == 'classes'] == [
        ('error', place) for place in places]
    assert "'red', 'green', 'blue'" in found[0].expected
    # COCO's own 80 names, which apply where none are given.
    config = changed(detector, {'train_dataloader.dataset.metainfo': None})
    assert ('error', 'classes', places[0]) in find(config)
    config = changed(classifier, {'train_dataloader.dataset.metainfo': dict(classes=['a', 'b'])})
    assert ('error', 'classes', 'train_dataloader.dataset') in find(config)
    # One class less than there is, throughout.
    config = named('red', 'blue')
    config.model.roi_head.bbox_head.num_classes = config.model.roi_head.mask_head.num_classes = 2
    found = check_config(config)
    assert {(f.level, f.check) for f in found} == {('warning', 'classes')}
    assert "'green'" in found[0].message


@pytest.mark.parametrize(('changes', 'where'), [
    ({'init_cfg.checkpoint': 'absent.pth'}, 'checkpoint'),
    ({'init_cfg.prefix': 'encoder.'}, 'prefix'),
    ({'depth': 34}, 'checkpoint'),
    ({'base_channels': 32, 'stem_channels': 32}, 'checkpoint'),
    ({'init_cfg.checkpoint': 'deeper.pth'}, 'checkpoint'),
])
def test_weights_of_the_backbone(detector, root, changes, where, monkeypatch):
    monkeypatch.chdir(root)
    changes = {f'model.backbone.{key}': value for key, value in changes.items()}
    assert find(changed(detector, changes)) == [
        ('error', 'weights', f'model.backbone.init_cfg.{where}')]


def test_the_prefixes_of_a_file_are_told(detector):
    finding, = check_config(changed(detector, {'model.backbone.init_cfg.prefix': 'encoder'}))
    assert finding.expected == 'one of backbone'


def test_an_attention_may_be_new_to_the_weights(detector, root):
    file = 'model.backbone.init_cfg.checkpoint'
    assert find(changed(detector, {file: str(root / 'plain.pth')})) == []
    config = changed(detector, {
        'model.backbone': dict(type='AttentionResNet', attention=dict(type='SELayer'))})
    del config.model.backbone.kernel_size
    finding, = check_config(config)
    assert finding.where == file and 'layer1.0.eca.conv.weight' in finding.message


def test_weights_to_start_from(classifier, root):
    assert find(changed(classifier, {'load_from': 'absent.pth'})) == [
        ('error', 'weights', 'load_from')]
    # The head is new.
    finding, = check_config(changed(classifier, {'load_from': str(root / 'r18.pth')}))
    assert (finding.level, finding.where) == ('warning', 'load_from')
    assert 'head.fc.weight' in finding.message
    torch.save({'weight': torch.zeros(1)}, root / 'other.pth')
    assert find(changed(classifier, {'load_from': str(root / 'other.pth')})) == [
        ('error', 'weights', 'load_from')]


def test_missing_data(detector, classifier, root):
    train, images = 'train_dataloader.dataset', root / 'coco' / 'images'
    for changes, where in (
            ({f'{train}.data_root': 'nowhere'}, f'{train}.data_root'),
            ({f'{train}.ann_file': 'train.json'}, f'{train}.ann_file'),
            ({f'{train}.data_prefix.img': 'train/'}, f'{train}.data_prefix.img'),
            ({'val_evaluator.ann_file': 'val.json'}, 'val_evaluator.ann_file'),
            ({'test_evaluator.ann_file': 'test.json'}, 'test_evaluator.ann_file'),
            ({'test_dataloader.dataset.ann_file': 'test.json'},
             'test_dataloader.dataset.ann_file')):
        assert find(changed(detector, changes)) == [('error', 'data', where)]
    assert find(changed(classifier, {f'{train}.data_prefix': 'train'})) == [
        ('error', 'data', f'{train}.data_prefix.img_path')]
    (images / '002.jpg').rename(images / 'gone')
    try:
        findings = check_config(detector)
    finally:
        (images / 'gone').rename(images / '002.jpg')
    assert {f.where for f in findings} == {
        'train_dataloader.dataset.data_prefix.img', 'val_dataloader.dataset.data_prefix.img'}
    assert all('1 of 4' in f.message and '002.jpg' in f.message for f in findings)


def test_unusable_annotations(detector, classifier, root):
    where = 'train_dataloader.dataset.ann_file'
    (root / 'coco' / 'cut.json').write_text('{"images": [')
    finding, = check_config(changed(detector, {where: 'cut.json'}))
    assert (finding.check, finding.where) == ('data', where)
    assert 'not valid JSON' in finding.message
    (root / 'classes' / 'labels.txt').write_text('red/0.png 0\ngreen/0.png 3\n')
    changes = {where: 'labels.txt', 'train_dataloader.dataset.metainfo.classes': samples.CLASSES}
    finding, = check_config(changed(classifier, changes))
    assert (finding.check, finding.where) == ('data', where)
    assert 'line 2' in finding.message


def test_learning_rate(detector):
    where = 'optim_wrapper.optimizer.lr'
    assert find(detector, gpus=4) == []
    finding, = check_config(detector, gpus=1)
    assert (finding.level, finding.check, finding.where) == ('error', 'lr', where)
    assert '0.0025' in finding.expected and '1 GPUs x 2 images = 2' in finding.message
    assert find(changed(detector, {'train_dataloader.batch_size': 16}), gpus=4) == [
        ('error', 'lr', where)]
    # Accumulated batches count, but mmengine's own scaling leaves them out.
    accumulated = {'optim_wrapper.accumulative_counts': 4}
    assert find(changed(detector, accumulated), gpus=1) == []
    enabled = {'auto_scale_lr.enable': True}
    assert find(changed(detector, enabled), gpus=1) == []
    finding, = check_config(changed(detector, {**accumulated, **enabled}), gpus=2)
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
    finding, = check_config(config)
    assert (finding.level, finding.check, finding.where) == (
        'warning', 'bn', 'model.backbone.norm_eval')
    assert '2 images' in finding.message
    assert find(changed(config, {'model.backbone.norm_cfg.type': 'SyncBN'})) == []
    assert find(changed(config, {'train_dataloader.batch_size': 8,
                                 'auto_scale_lr.base_batch_size': 32})) == []
    assert find(changed(detector, {'model.neck.norm_cfg': dict(type='BN')})) == [
        ('warning', 'bn', 'model.neck.norm_cfg')]


def test_evaluators_that_do_not_fit(detector, classifier, root):
    (root / 'coco' / 'copy.json').write_text((root / 'coco/annotations.json').read_text())
    for changes, level, where in (
            ({'val_evaluator': dict(_delete_=True, type='mmpretrain.Accuracy')}, 'error',
             'val_evaluator.type'),
            ({'val_evaluator.ann_file': str(root / 'coco/copy.json')}, 'error',
             'val_evaluator.ann_file'),
            ({'val_evaluator.metric': 'bbox'}, 'warning', 'val_evaluator.metric'),
            ({'train_dataloader.dataset.pipeline.1.with_mask': False}, 'error',
             'train_dataloader.dataset.pipeline.1')):
        assert find(changed(detector, changes)) == [(level, 'evaluator', where)]
    assert find(changed(detector, {'model.roi_head.mask_head': None})) == [
        ('error', 'evaluator', 'val_evaluator.metric')]
    finding, = check_config(changed(classifier, {'val_evaluator.topk': (1, 5)}))
    assert (finding.where, finding.expected) == ('val_evaluator.topk', 'topk=(1, )')
    assert find(changed(classifier, {'val_evaluator': dict(
        _delete_=True, type='mmdet.CocoMetric')})) == [
            ('error', 'evaluator', 'val_evaluator.type')]


def test_a_config_without_parts():
    assert find(Config(dict(train_cfg={}))) == [('error', 'keys', '')]


def test_tool(detector, tmp_path):
    detector.dump(tmp_path / 'mask-rcnn_4xb2.py')
    done = run_tool(tmp_path, TOOL, 'mask-rcnn_4xb2.py', '--json', 'f.json')
    assert (done.returncode, done.stderr) == (0, '')
    assert json.loads((tmp_path / 'f.json').read_text()) == []
    done = run_tool(tmp_path, TOOL, 'mask-rcnn_4xb2.py', '--json', 'f.json', '--gpus', '1',
                    '--cfg-options', 'model.backbone.norm_eval=False')
    assert (done.returncode, done.stderr) == (1, '')
    assert '1 errors, 1 warnings' in done.stdout
    error, warning = json.loads((tmp_path / 'f.json').read_text())
    assert error['where'] == 'optim_wrapper.optimizer.lr' and error['level'] == 'error'
    assert set(warning) == {'level', 'check', 'where', 'message', 'expected'}
    # Warnings alone are no failure.
    assert run_tool(tmp_path, TOOL, 'mask-rcnn_4xb2.py', '--cfg-options',
                    'model.backbone.norm_eval=False').returncode == 0
    for arguments, code in ((('absent.py', ), 1), ((), 2), (('x.py', '--gpus', '0'), 2)):
        assert run_tool(tmp_path, TOOL, *arguments).returncode == code
