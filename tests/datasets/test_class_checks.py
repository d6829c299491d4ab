"""Heads, data sets and metrics that mean different classes are refused."""
import json

import pytest
from mmdet.datasets import MultiImageMixDataset
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset
from mmengine.registry import DATASETS, METRICS, DefaultScope
from torch import nn

from eca_mm.datasets.class_checks import check_heads, check_metric, check_splits
from eca_mm.utils.errors import UserError
from tests.support.samples import CLASSES, draw_coco

SHUFFLED = ('blue', 'red', 'green')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('data') / 'coco'
    draw_coco(root)
    return root


def build(root, kind='CheckedCocoDataset', classes=CLASSES):
    with DefaultScope.overwrite_default_scope('mmdet'):
        return DATASETS.build(dict(
            type=kind, data_root=str(root), ann_file='annotations.json', pipeline=[],
            data_prefix=dict(img='images/'), metainfo=dict(classes=classes)))


def network(**numbers):
    """A model with heads of these names and numbers of classes."""
    model = nn.Module()
    for name, number in numbers.items():
        head = nn.Module()
        head.num_classes = number
        model.add_module(name, head)
    return model


@pytest.mark.parametrize('wrap', [
    lambda data: data, lambda data: RepeatDataset(data, 2), lambda data: ConcatDataset([data] * 2),
    lambda data: ClassBalancedDataset(data, .5),
    lambda data: MultiImageMixDataset(data, [dict(type='Mosaic', img_scale=(64, 64))])],
    ids=['alone', 'repeated', 'joined', 'balanced', 'mosaic'])
def test_every_head_has_the_classes_of_the_data(root, wrap):
    with DefaultScope.overwrite_default_scope('mmdet'):
        data = wrap(build(root))
    # One class of proposals, and a backbone's own classifier.
    check_heads(network(bbox_head=3, rpn_head=1, backbone=1000), data)
    for name in ('bbox_head', 'mask_head', 'panoptic_head', 'head'):
        with pytest.raises(UserError, match=rf'model.{name} has num_classes=1, .* 3 classes'):
            check_heads(network(**{name: 1}), data)


def test_imagenet_has_two_classes_of_cranes(root):
    # Its labels go by the folders, those of detection by the names.
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        data = DATASETS.build(dict(type='ImageNet', data_root='imagenet', lazy_init=True,
                                   pipeline=[]))
    assert data.metainfo['classes'].count('crane') == 2
    check_heads(network(head=1000), data)
    check_splits(data, data, 'val')
    check_metric(None, data, 'val_dataloader.dataset')
    with DefaultScope.overwrite_default_scope('mmdet'):
        data = DATASETS.build(dict(type='VOCDataset', data_root='VOC2007', lazy_init=True,
                                   pipeline=[], ann_file='', metainfo=dict(classes=('cat', ) * 2)))
    with pytest.raises(UserError, match='names cat more than once'):
        check_heads(network(bbox_head=2), data)


def test_the_background_is_not_a_class(root):
    # As in MMDetection 1.
    with pytest.raises(UserError, match='has num_classes=4, but the data set has 3 classes'):
        check_heads(network(bbox_head=4), build(root))
    # Panoptic heads have things and stuff.
    data = build(root)
    data._metainfo.update(thing_classes=CLASSES, stuff_classes=('sky', ))
    check_heads(network(bbox_head=3, panoptic_head=1), data)


def test_joined_data_sets_must_have_the_same_classes(root):
    with DefaultScope.overwrite_default_scope('mmdet'):
        data = DATASETS.build(dict(type='ConcatDataset', datasets=[
            build(root), build(root, classes=SHUFFLED)]))
    with pytest.raises(UserError, match=r"\('red', .*\) and \('blue', 'red', 'green'\)"):
        check_heads(network(bbox_head=3), data)


def test_labels_without_names(tmp_path):
    (tmp_path / 'labels.txt').write_text('a.jpg 0\nb.jpg 4\n')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        data = DATASETS.build(dict(type='CustomDataset', data_root=str(tmp_path), pipeline=[],
                                   ann_file='labels.txt'))
    check_heads(network(head=5), data)
    for number in (2, 4):
        with pytest.raises(UserError, match=f'={number}, .*labels.txt has labels up to 4'):
            check_heads(network(head=number), RepeatDataset(data, 2))


def test_splits_must_have_the_same_classes(root):
    data = build(root)
    check_splits(data, build(root), 'val')
    with pytest.raises(UserError, match=r"\('blue', 'red', 'green'\), but training is on \('red'"):
        check_splits(data, build(root, classes=SHUFFLED), 'val')
    with pytest.raises(UserError, match='the checkpoint was trained on'):
        check_splits(dict(classes=['red', 'green']), data, 'test')


@pytest.mark.parametrize(('data_kind', 'metric_kind', 'stock_part'), [
    ('CheckedCocoDataset', 'CheckedCocoMetric', None),
    ('CheckedCocoDataset', 'CocoMetric', 'CocoMetric numbers'),
    ('CocoDataset', 'CheckedCocoMetric', 'CocoDataset numbers'),
    ('CocoDataset', 'CocoMetric', 'CocoDataset numbers')])
def test_another_order_needs_both_checked_classes(root, data_kind, metric_kind, stock_part):
    with DefaultScope.overwrite_default_scope('mmdet'):
        metric = METRICS.build(dict(type=metric_kind, ann_file=str(root / 'annotations.json')))
    check_metric(metric, build(root, data_kind), 'val_evaluator')
    data = build(root, data_kind, SHUFFLED)
    if stock_part is None:
        check_metric(metric, data, 'val_evaluator')
        return
    with pytest.raises(UserError, match=f"'red', 'green', 'blue'.*'blue', 'red'.*{stock_part}"):
        check_metric(metric, data, 'val_evaluator')


def test_a_class_that_the_stock_data_set_drops_is_named(root):
    content = json.loads((root / 'annotations.json').read_text())
    content['categories'][1]['name'] = 'Green'
    (root / 'other.json').write_text(json.dumps(content))
    data = build(root, 'CocoDataset')
    data.ann_file = str(root / 'other.json')
    with pytest.raises(UserError, match='no category for the classes green'):
        check_metric(None, data, 'train_dataloader.dataset')


@pytest.mark.parametrize('key', ['CLASSES', 'Classes', 'class'])
def test_another_key_for_the_classes_is_refused(root, key):
    data = build(root)
    data._metainfo[key] = data._metainfo['classes']
    with pytest.raises(UserError, match=f"metainfo has '{key}'"):
        check_heads(network(bbox_head=3), data)
