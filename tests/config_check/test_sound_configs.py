"""Configs like those of mmdet and mmpretrain, of which nothing untrue may be said."""
import json

import pytest
from mmdet.datasets import CocoPanopticDataset, MOTChallengeDataset
from mmdet.models import ResNet
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.utils.dependency import WITH_MULTIMODAL

from eca_mm.config_check import classes, evaluators, files, forward, keys, training
from eca_mm.config_check.context import ConfigContext
from eca_mm.datasets.class_checks import check_heads, check_splits, head_numbers
from tests.support.config_checks import changed, run


@pytest.fixture(scope='module')
def detr():
    """DETR, whose head takes a key out of its loss."""
    config = get_config('mmdet::detr/detr_r50_8xb2-150e_coco.py')
    config.merge_from_dict({
        'model.backbone.depth': 18, 'model.backbone.init_cfg': None,
        'model.neck.in_channels': [512], 'model.encoder.num_layers': 1,
        'model.decoder.num_layers': 1})
    return config


def test_keys_that_the_model_takes_out_are_not_typos(detr):
    assert detr.model.bbox_head.loss_cls.bg_cls_weight == 0.1
    assert run(keys, detr) == []
    wrong = changed(detr, {'model.bbox_head.loss_cls.loss_wieght': 1.})
    assert {finding.where for finding in run(keys, wrong)} == {
        'model.bbox_head.loss_cls.loss_wieght'}


def test_types_that_the_model_reads_itself_need_not_be_registered(detector):
    stage = dict(type='StageCascadeRPNHead', in_channels=32, feat_channels=32,
                 anchor_generator=dict(type='AnchorGenerator', scales=[8], ratios=[1.],
                                       strides=[4, 8, 16, 32, 64]),
                 adapt_cfg=dict(type='dilation', dilation=3), bridged_feature=True,
                 with_cls=False, bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
                 loss_bbox=dict(type='IoULoss', linear=True))
    config = changed(detector, {'model.train_cfg.rpn': [detector.model.train_cfg.rpn]})
    config.model.rpn_head = dict(type='CascadeRPNHead', num_classes=1, num_stages=1,
                                 stages=[stage])
    assert run(keys, config) == []
    config.model.rpn_head.stages[0].loss_bbox.type = 'IoULos'
    assert [finding.expected for finding in run(keys, config)] == ['IoULoss']


def test_albumentations_has_types_of_its_own(detector):
    step = dict(type='Albu', transforms=[dict(type='OneOf', transforms=[
        dict(type='Blur', blur_limit=3), dict(type='MedianBlur')])],
        bbox_params=dict(type='BboxParams', format='pascal_voc'))
    config = changed(detector, {})
    config.train_dataloader.dataset.pipeline.insert(2, step)
    assert run(keys, config) == []


def test_masks_that_are_made_of_boxes(detector):
    config = changed(detector, {'model.data_preprocessor.type': 'BoxInstDataPreprocessor'})
    for step in config.train_dataloader.dataset.pipeline:
        step.pop('with_mask', None)
    assert run(evaluators, config) == []


def test_the_masks_of_mask2former(detector):
    config = changed(detector, {'model.roi_head.mask_head': None,
                                'model.panoptic_head': dict(type='Mask2FormerHead')})
    assert run(evaluators, config) == []


def test_fast_rcnn_gets_its_proposals_from_the_data(detector):
    config = changed(detector, {'model.type': 'FastRCNN'})
    del config.model.rpn_head
    context = ConfigContext(config)
    assert list(forward.try_forward(context, context.model)) == []


@MODELS.register_module()
class ResNetOfLargeImages(ResNet):
    """Fails on images that are small, as SSD does."""

    def forward(self, x):
        if x.size(-1) < 300:
            raise RuntimeError('the kernel is larger than the map')
        return super().forward(x)


def test_networks_of_large_images(detector):
    config = changed(detector, {'model.backbone': dict(
        type='ResNetOfLargeImages', depth=18, base_channels=16, stem_channels=16)})
    for key in set(config.model.backbone) - {'type', 'depth', 'base_channels', 'stem_channels'}:
        del config.model.backbone[key]
    context = ConfigContext(config)
    assert list(forward.try_forward(context, context.model)) == []
    # What else is wrong is said of the larger one.
    config.model.neck.in_channels = [16, 32, 64, 127]
    context = ConfigContext(config)
    found = list(forward.try_forward(context, context.model))
    assert [(f.where, f.message.split(' image')[0]) for f in found] == [
        ('model.neck', 'a 512 x 512')]


def test_trackers_are_tested_on_all_classes_of_the_annotations(detector):
    config = changed(detector, {
        'train_dataloader.dataset.metainfo.classes': ('pedestrian', ),
        'model.roi_head.bbox_head.num_classes': 1, 'model.roi_head.mask_head.num_classes': 1})
    config.val_dataloader.dataset = dict(type='MOTChallengeDataset', ann_file='',
                                         data_root='data/MOT17')
    config.test_dataloader = config.val_dataloader
    found = [finding for finding in run(classes, config) if finding.where != (
        'train_dataloader.dataset.metainfo.classes')]
    assert found == []
    data = MOTChallengeDataset(ann_file='', lazy_init=True, pipeline=[])
    check_splits(dict(classes=('pedestrian', )), data, 'val')


def test_panoptic_heads_have_things_or_stuff(detector):
    config = Config(dict(
        default_scope='mmdet', model=dict(
            type='PanopticFPN', roi_head=dict(
                bbox_head=dict(type='Shared2FCBBoxHead', num_classes=80),
                mask_head=dict(type='FCNMaskHead', num_classes=80))),
        train_dataloader=dict(batch_size=2, dataset=dict(
            type='CocoPanopticDataset', ann_file='', data_root='data/coco',
            data_prefix=dict(img='img/', seg='seg/')))))
    assert run(classes, config) == []
    config.model.roi_head.mask_head.num_classes = 79
    assert [finding.where for finding in run(classes, config)] == [
        'model.roi_head.mask_head.num_classes']
    assert CocoPanopticDataset.METAINFO['thing_classes']


def test_heads_that_compare_with_a_text_have_no_classes_of_the_data(detector):
    config = changed(detector, {'model.roi_head.bbox_head.num_classes': 256})
    assert run(classes, config)
    config.model.language_model = dict(type='BertModel')
    assert run(classes, config) == []
    context = ConfigContext(changed(detector, {'model.roi_head.bbox_head.num_classes': 7}))
    context.model.language_model = None
    check_heads(context.model, context.of('train')[0].built)


@pytest.mark.parametrize('changes', [
    {'model.backbone.norm_cfg': dict(type='GN', num_groups=4), 'model.backbone.norm_eval': True,
     'model.backbone.frozen_stages': -1, 'model.backbone.init_cfg': None},
    {'model.roi_head.mask_head.norm_cfg': dict(type='BN')},
    {'train_dataloader.dataset': dict(type='ReIDDataset', ann_file='', lazy_init=True),
     'model.neck.norm_cfg': dict(type='BN')}])
def test_normalisation_that_has_enough(detector, changes):
    config = changed(detector, {})
    if 'train_dataloader.dataset' in changes:
        config.train_dataloader.dataset = changes['train_dataloader.dataset']
        changes = {key: value for key, value in changes.items() if 'dataset' not in key}
    assert run(training, changed(config, changes), gpus=4 * 2) == run(
        training, config, gpus=4 * 2)


@pytest.mark.parametrize(('name', 'gpus'), [
    ('faster-rcnn_r50_8xb2-1x.py', 8), ('maskformer_r50_ms-16xb1-75e_coco.py', 16), ('x.py', 1)])
def test_the_number_of_gpus_is_that_of_the_name(detector, name, gpus):
    config = changed(detector, {})
    object.__setattr__(config, '_filename', f'/somewhere/{name}')
    assert ConfigContext(config).gpus == gpus


def test_a_model_of_proposals_has_no_classes():
    config = get_config('mmdet::guided_anchoring/ga-rpn_r50_fpn_1x_coco.py')
    config.merge_from_dict({
        'model.backbone.depth': 18, 'model.backbone.init_cfg': None, 'model.neck.out_channels': 32,
        'model.neck.in_channels': [64, 128, 256, 512], 'model.rpn_head.in_channels': 32,
        'model.rpn_head.feat_channels': 32})
    with DefaultScope.overwrite_default_scope('mmdet'):
        assert list(head_numbers(ConfigContext(config).model)) == []


@pytest.mark.parametrize('kind', ['CocoPanopticDataset', 'LVISV1Dataset'])
def test_files_with_a_format_of_their_own(detector, root, kind):
    path = root / 'coco' / 'own.json'
    # Neither ids of annotations nor file names that lead to images.
    path.write_text(json.dumps(dict(
        images=[dict(id=1, file_name='1.jpg', coco_url='http://a/train2017/1.jpg', width=64,
                     height=64)], categories=[dict(id=1, name='red', isthing=1)],
        annotations=[dict(image_id=1, file_name='1.png', segments_info=[])])))
    config = changed(detector, {})
    for split in ('train', 'val', 'test'):
        config[f'{split}_dataloader'].dataset = dict(
            type=kind, data_root=str(root / 'coco'), ann_file='own.json', metainfo=dict(
                classes=('red', ), thing_classes=('red', )),
            data_prefix=dict(img='images/', seg='images/'))
    assert run(files, config) == []
    assert not [f for f in run(classes, config) if 'num_classes' not in f.where]
    # Instances of the same images are evaluated beside the panoptic quality.
    assert not [f for f in run(evaluators, config) if 'not the annotation file' in f.message]


def test_functions_and_keys_with_one_more_word(detector):
    config = changed(detector, {
        'train_dataloader.collate_fn': dict(type='default_collate'),
        'model.test_cfg.vocab_size': 3, 'model.test_cfg.type_vocab_size': 3,
        'model.test_cfg.use_rel_pos_bias': 3, 'model.test_cfg.use_shared_rel_pos_bias': 3})
    assert run(keys, config) == []


def test_parts_that_need_other_packages(classifier):
    if WITH_MULTIMODAL:
        pytest.skip('all packages are there')
    config = changed(classifier, {'val_dataloader.dataset.type': 'COCOVQA',
                                  'test_dataloader.dataset.type': 'COCOVQAA'})
    found = {finding.where.partition('_')[0]: finding for finding in run(keys, config)}
    assert 'needs packages' in found['val'].message and 'multimodal' in found['val'].expected
    assert 'there is no' in found['test'].message


def test_a_network_of_the_size_of_its_pipeline():
    config = Config(dict(
        default_scope='mmpretrain', model=dict(
            type='ImageClassifier', backbone=dict(type='LeNet5', num_classes=10), neck=None,
            head=dict(type='ClsHead', loss=dict(type='CrossEntropyLoss'))),
        data_preprocessor=dict(mean=[33.46], std=[78.87], num_classes=10),
        val_dataloader=dict(dataset=dict(type='MNIST', data_prefix='data/mnist', pipeline=[
            dict(type='Resize', scale=32), dict(type='PackInputs')]))))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        context = ConfigContext(config)
        assert list(forward.try_forward(context, context.model)) == []
        config.val_dataloader.dataset.pipeline[0].scale = 28
        context = ConfigContext(config)
        assert list(forward.try_forward(context, context.model))


def test_the_scope_that_is_missing():
    config = Config(dict(model=dict(type='ImageClassifier')))
    finding, = run(keys, config)
    assert finding.expected == "default_scope='mmpretrain'"
