"""Configs like those of mmdet and mmpretrain, of which nothing untrue may be said."""
import pytest
from mmdet.datasets import CocoPanopticDataset, MOTChallengeDataset
from mmdet.models import ResNet
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import MODELS

from eca_mm.config_check import classes, evaluators, forward, keys, training
from eca_mm.config_check.context import ConfigContext
from eca_mm.datasets.class_checks import check_heads, check_splits
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
    # What fails whatever the size is said of the smaller one.
    config.model.neck.in_channels = [16, 32, 64, 127]
    context = ConfigContext(config)
    found = list(forward.try_forward(context, context.model))
    assert [(f.where, f.message.split(' image')[0]) for f in found] == [
        ('model.backbone', 'a 128 x 128')]


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
