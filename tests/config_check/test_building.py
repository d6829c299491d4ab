"""Problems that only show when data sets and model are built and run on an image."""
import pytest
import torch
from mmdet.models import SingleStageDetector
from mmdet.structures import DetDataSample
from mmengine.registry import DefaultScope
from torch import nn

from eca_mm.config_check import building, check_config, pipelines
from eca_mm.config_check.context import ConfigContext
from eca_mm.config_check.samples import check_sample
from tests.support import samples
from tests.support.config_checks import NECK, changed, find, run

ECA = dict(cfg=dict(type='ECALayer'), position='after_conv3')


@pytest.mark.parametrize(('changes', 'where', 'problem'), [
    ({'model.neck.in_channels': NECK[50]}, 'model.neck', 'fails in neck.lateral_convs'),
    ({'model.neck.in_channels': NECK[18][:3]}, 'model.neck', 'neck'),
    ({'model.roi_head.bbox_head.in_channels': 128}, 'model.roi_head', 'roi_head.bbox_head'),
    ({'model.backbone.kernel_size': 4}, 'model', 'odd'),
    ({'model.data_preprocessor.mean': [1., 2., 3., 4.]}, 'model', '4 values'),
    ({'model.backbone': dict(_delete_=True, type='ResNet', depth=18, plugins=[ECA])}, 'model',
     'plugins'),
    ({'custom_hooks': [dict(type='EarlyStoppingHook')]}, 'custom_hooks.0', 'monitor'),
    ({'param_scheduler': [dict(policy='step')]}, 'param_scheduler.0', 'type'),
    ({'default_hooks.checkpoint.create_symlink': True}, 'default_hooks.checkpoint',
     'create_symlink'),
    ({'train_dataloader.dataset.metainfo.classes': 'red'}, 'train_dataloader.dataset',
     'with a comma'),
    ({'visualizer.vis_backends': [dict(type='ClearMLVisBackend')]}, 'visualizer.vis_backends.0',
     'clearml'),
    ({'train_dataloader.dataset.filter_cfg.min_size': 500}, 'train_dataloader.dataset',
     'None of the 4 images'),
    ({'train_dataloader.dataset.pipeline.3.scale': 'wide'}, 'train_dataloader.dataset.pipeline',
     ''),
])
def test_what_building_refuses(detector, changes, where, problem):
    errors = [f for f in check_config(changed(detector, changes)) if f.level == 'error']
    assert [f.where for f in errors] == [where]
    assert problem in errors[0].message


def test_heads_of_classifiers(classifier):
    finding, = check_config(changed(classifier, {'model.head.in_channels': 100}))
    assert (finding.check, finding.where) == ('model', 'model.head')
    finding, = check_config(changed(classifier, {'model.backbone.kernel_size': 2}))
    assert finding.where == 'model'


def test_links_out_of_the_data(detector, root, tmp_path):
    image = root / 'coco/images/003.jpg'
    image.rename(tmp_path / 'blob')
    image.symlink_to(tmp_path / 'blob')
    try:
        found = check_config(detector)
        allowed = {f'{split}_dataloader.dataset.allow_outside': True
                   for split in ('train', 'val', 'test')}
        assert find(changed(detector, allowed)) == []
    finally:
        image.unlink()
        (tmp_path / 'blob').rename(image)
    assert [f.where for f in found] == ['train_dataloader.dataset', 'val_dataloader.dataset']
    assert 'allow_outside' in found[0].message


def test_annotations_that_are_resized_in_validation(detector):
    config = changed(detector, {})
    steps = config.val_dataloader.dataset.pipeline
    assert [step.type for step in steps[:3]] == ['LoadImageFromFile', 'Resize', 'LoadAnnotations']
    steps[1], steps[2] = steps[2], steps[1]
    config.test_dataloader = config.val_dataloader
    assert find(config) == [('error', 'pipeline', 'val_dataloader.dataset.pipeline')]


@pytest.mark.parametrize(('split', 'change', 'problem'), [
    ('train', lambda steps: [s for s in steps if s.type != 'LoadAnnotations'], 'no boxes'),
    ('train', lambda steps: [{**s, 'with_mask': False} if s.type == 'LoadAnnotations' else s
                             for s in steps], 'no masks'),
    ('train', lambda steps: steps[:-1], 'does not end in PackDetInputs'),
    ('val', lambda steps: [*steps[:-1], dict(steps[-1], meta_keys=('img_id', 'ori_shape'))],
     'lack img_shape and scale_factor')])
def test_samples_that_the_model_cannot_use(detector, split, change, problem):
    config = changed(detector, {})
    data = config[f'{split}_dataloader'].dataset
    data.pipeline = change(data.pipeline)
    context = ConfigContext(config, None)
    with DefaultScope.overwrite_default_scope('mmdet'):
        finding, = [f for f in building._data(context, context.model) if f.check == 'data']
    assert finding.where.startswith(f'{split}_dataloader.dataset') and problem in finding.message


def test_samples_without_a_scale_that_heads_do_not_ask_for():
    class Detector(SingleStageDetector):
        def __init__(self):
            nn.Module.__init__(self)

    model = Detector()
    sizes = dict(ori_shape=(8, 8), img_shape=(8, 8))
    for metainfo in (sizes, dict(sizes, border=(0, 8, 0, 8))):
        sample = dict(inputs=torch.zeros(3, 8, 8), data_samples=DetDataSample(metainfo=metainfo))
        model.bbox_head = nn.Identity() if 'border' in metainfo else None
        check_sample(sample, 'val', model)


@pytest.mark.parametrize('step', [
    dict(type='FixShapeResize', width=64, height=64, keep_ratio=True),
    dict(type='RandomChoice', transforms=[[dict(type='Resize', scale=(64, 64))]])])
def test_every_way_to_resize_counts(detector, step):
    config = changed(detector, {})
    config.val_dataloader.dataset.pipeline[1:3] = [dict(type='LoadAnnotations'), step]
    finding, = run(pipelines, config)
    assert finding.where == 'val_dataloader.dataset.pipeline'


def test_images_that_are_normalised_twice(detector):
    config = changed(detector, {})
    config.train_dataloader.dataset.pipeline.insert(
        3, dict(type='Normalize', mean=[100.] * 3, std=[50.] * 3, to_rgb=True))
    finding, = run(pipelines, config)
    assert finding.where == 'train_dataloader.dataset.pipeline' and 'twice' in finding.message
    for settings in (dict(mean=None, std=None), dict(mean=[0.] * 3, std=[1.] * 3)):
        config.model.data_preprocessor.update(settings)
        assert run(pipelines, config) == []


def test_splits_of_other_classes(classifier, root):
    samples.draw_classes(root / 'others', images=1)
    (root / 'others/red').rename(root / 'others/rose')
    finding, = check_config(changed(classifier, {
        f'{split}_dataloader.dataset.data_root': str(root / 'others')
        for split in ('val', 'test')}))
    assert (finding.check, finding.where) == ('classes', 'val_dataloader.dataset')
    assert 'rose' in finding.message and 'red' in finding.message
