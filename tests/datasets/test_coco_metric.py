"""The ground truth as prediction is AP 1, whatever the file looks like."""
import copy
import json
import random

import numpy as np
import pycocotools.mask
import pytest
import torch
from mmengine.registry import METRICS

from eca_mm.utils.errors import UserError
from tests.support.samples import CLASSES, draw_coco, give_masks


@pytest.fixture(scope='module')
def content(tmp_path_factory):
    """A COCO file of 4 images with two boxes each, with masks."""
    path = draw_coco(tmp_path_factory.mktemp('coco'))
    give_masks(path)
    return json.loads(path.read_text())


def build(folder, content, classes=CLASSES, **options):
    path = folder / 'annotations.json'
    path.write_text(json.dumps(content))
    metric = METRICS.build(dict(type='CheckedCocoMetric', ann_file=str(path), **options))
    metric.dataset_meta = dict(classes=classes)
    return metric


def evaluate(metric, content, images=slice(None), known=lambda ann: True):
    """Give a metric the annotations as predictions."""
    names = {category['id']: category['name'] for category in content['categories']}
    classes = metric.dataset_meta['classes']
    size = 64
    for image in content['images'][images]:
        found = [ann for ann in content['annotations']
                 if ann['image_id'] == image['id'] and not ann.get('iscrowd') and known(ann)
                 and names.get(ann['category_id']) in classes]
        boxes = torch.tensor([ann['bbox'] for ann in found], dtype=torch.float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        masks = np.zeros((len(found), size, size), dtype=bool)
        for mask, ann in zip(masks, found, strict=True):
            if ann.get('segmentation'):
                rle = pycocotools.mask.frPyObjects(ann['segmentation'], size, size)
                mask[:] = pycocotools.mask.decode(pycocotools.mask.merge(rle)) > 0
            else:
                x, y, width, height = ann['bbox']
                mask[y:y + height, x:x + width] = True
        metric.process({}, [dict(img_id=image['id'], ori_shape=(size, size), pred_instances=dict(
            bboxes=boxes, scores=torch.ones(len(found)), masks=torch.from_numpy(masks),
            labels=torch.tensor([classes.index(names[ann['category_id']]) for ann in found],
                                dtype=torch.long)))])
    return metric.evaluate(len(content['images'][images]))


def ids_from_zero(content):
    for number, ann in enumerate(content['annotations']):
        ann['id'] = number


def odd_ids(content):
    for image in content['images']:
        image['id'] = f'frame {image["id"]}'
    for ann in content['annotations']:
        ann.update(id=f'#{ann["id"]}', image_id=f'frame {ann["image_id"]}',
                   category_id=float(ann['category_id']))


def unsorted_categories(content):
    new = {1: 30, 2: 7, 3: 0}
    for entry, key in ((content['categories'], 'id'), (content['annotations'], 'category_id')):
        for part in entry:
            part[key] = new[part[key]]


def without_fields(content):
    for ann in content['annotations']:
        del ann['area'], ann['iscrowd']


def some_crowds(content):
    content['annotations'][0]['iscrowd'] = 1


@pytest.mark.parametrize('change', [
    ids_from_zero, odd_ids, unsorted_categories, without_fields, some_crowds])
@pytest.mark.parametrize('seed', range(2))
def test_the_truth_is_perfect(content, tmp_path, change, seed):
    content = copy.deepcopy(content)
    change(content)
    classes = random.Random(seed).sample(CLASSES, 3)
    metric = build(tmp_path, content, classes, metric=['segm', 'bbox'], classwise=True)
    found = evaluate(metric, content)
    assert found['coco/bbox_mAP'] == found['coco/segm_mAP'] == 1
    # What save_best='auto' takes.
    assert next(iter(found)) == 'coco/bbox_mAP'


def test_figures_of_the_classes_have_the_right_names(content, tmp_path):
    content = copy.deepcopy(content)
    unsorted_categories(content)
    blue = next(category['id'] for category in content['categories'] if category['name'] == 'blue')
    for order in (CLASSES, CLASSES[::-1]):
        metric = build(tmp_path, content, order, classwise=True)
        found = evaluate(metric, content, known=lambda ann: ann['category_id'] != blue)
        assert [found[f'coco/{name}_precision'] for name in CLASSES] == [1, 1, 0]


def test_a_part_of_the_images_counts_alone(content, tmp_path):
    metric = build(tmp_path, content)
    for images in (slice(0, 2), slice(1, 4), slice(None)):
        assert evaluate(metric, content, images)['coco/bbox_mAP'] == 1


def test_nothing_found_is_zero(content, tmp_path):
    found = evaluate(build(tmp_path, content), content, known=lambda ann: False)
    assert found['coco/bbox_mAP'] == 0


@pytest.mark.parametrize('mask', [None, {}, [], [[]], '', [[1, 1, 5, 5]], [[1, 2, 3]]])
def test_annotations_without_a_usable_mask_do_not_count_as_masks(content, tmp_path, mask):
    content = copy.deepcopy(content)
    content['annotations'][2]['segmentation'] = mask
    for known in (lambda ann: True, lambda ann: ann['id'] != 3):
        evaluated = copy.deepcopy(content)
        del evaluated['annotations'][2]['segmentation']
        found = evaluate(build(tmp_path, content, metric=['bbox', 'segm']), evaluated, known=known)
        assert found['coco/segm_mAP'] == 1


def test_the_truth_of_the_samples(content):
    metric = METRICS.build(dict(type='CheckedCocoMetric'))
    metric.dataset_meta = dict(classes=CLASSES)
    for image in content['images'][:3]:
        found = [ann for ann in content['annotations'] if ann['image_id'] == image['id']]
        boxes = [[x, y, x + width, y + height] for x, y, width, height in
                 (ann['bbox'] for ann in found)]
        labels = [ann['category_id'] - 1 for ann in found]
        metric.process({}, [dict(
            img_id=image['id'], ori_shape=(64, 64),
            instances=[dict(bbox=box, bbox_label=label, ignore_flag=0)
                       for box, label in zip(boxes, labels, strict=True)],
            pred_instances=dict(bboxes=torch.tensor(boxes).float(), scores=torch.ones(len(boxes)),
                                labels=torch.tensor(labels)))])
    assert metric.evaluate(3)['coco/bbox_mAP'] == 1


def test_written_predictions_have_the_ids_of_the_file(content, tmp_path):
    content = copy.deepcopy(content)
    unsorted_categories(content)
    metric = build(tmp_path, content, outfile_prefix=str(tmp_path / 'found'))
    assert evaluate(metric, content)['coco/bbox_mAP'] == 1
    written = json.loads((tmp_path / 'found.bbox.json').read_text())
    assert ([(entry['image_id'], entry['category_id']) for entry in written]
            == [(ann['image_id'], ann['category_id']) for ann in content['annotations']])


@pytest.mark.parametrize(('change', 'options', 'problem'), [
    (lambda c: c.pop('annotations'), {}, 'it has no annotations'),
    (lambda c: [ann.update(iscrowd=1) for ann in c['annotations']], {}, 'all of its 8 .* crowds'),
    (lambda c: [ann.pop('segmentation') for ann in c['annotations']],
     dict(metric=['bbox', 'segm']), 'no masks that can be evaluated'),
    (lambda c: None, dict(classes=('red', 'gren')), "did you mean 'green'"),
    (lambda c: None, dict(classes='red'), 'with a comma'),
])
def test_what_cannot_be_evaluated_is_refused_at_the_start(content, tmp_path, change, options,
                                                          problem):
    content = copy.deepcopy(content)
    change(content)
    with pytest.raises(UserError, match=problem):
        build(tmp_path, content, **options)


def test_images_of_another_file_are_named(content, tmp_path):
    metric = build(tmp_path, content)
    content = copy.deepcopy(content)
    content['images'][0]['id'] = 77
    with pytest.raises(UserError, match=r'does not list 1 of 4 images .*77'):
        evaluate(metric, content)
