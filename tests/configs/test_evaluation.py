"""The evaluation that the configs set up: perfect predictions have AP 1.0, on boxes and masks."""
import json

import pycocotools.mask as mask_utils
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS, init_default_scope
from mmengine.structures import InstanceData

from tests.support.catalog import load
from tests.support.samples import draw_coco

CONFIG = 'mask_rcnn/mask-rcnn_eca-r50_fpn_4xb2-1x_coco.py'


@pytest.fixture
def drawn(tmp_path):
    """Config for drawn pictures of rectangles, whose polygons are their boxes."""
    path = draw_coco(tmp_path / 'coco')
    content = json.loads(path.read_text())
    for annotation in content['annotations']:
        x, y, w, h = annotation['bbox']
        annotation['segmentation'] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    path.write_text(json.dumps(content))
    config = load(CONFIG)
    config.test_dataloader.dataset.update(
        data_root=f'{tmp_path}/coco/', ann_file=path.name, data_prefix=dict(img='images/'),
        metainfo=dict(classes=tuple(category['name'] for category in content['categories'])))
    config.test_evaluator.ann_file = str(path)
    return config


@pytest.fixture
def real(coco_root):
    """Config for real COCO images."""
    config = load(CONFIG)
    config.test_dataloader.dataset.data_root = f'{coco_root}/'
    config.test_evaluator.ann_file = f'{coco_root}/annotations/instances_val2017.json'
    return config


def as_predictions(sample, instances: list[dict], scale: float = 1.0):
    """Predictions that repeat the ground truth.

    The test pipeline reads annotations after the resizing, so they are in the original image's
    coordinates, where predictions have to be too.
    """
    height, width = sample.ori_shape
    truth = sample.gt_instances
    masks = []
    for instance in instances:
        mask = instance['mask']
        if isinstance(mask, list):
            mask = mask_utils.merge(mask_utils.frPyObjects(mask, height, width))
        masks.append(mask)
    return InstanceData(
        bboxes=truth.bboxes.tensor * scale, labels=truth.labels, masks=masks,
        scores=torch.linspace(1, 0.5, len(truth)))


def evaluate(config, scale: float = 1.0) -> dict:
    init_default_scope(config.default_scope)
    dataset = DATASETS.build(config.test_dataloader.dataset)
    evaluator = Evaluator(config.test_evaluator)
    evaluator.dataset_meta = dataset.metainfo
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples']
        instances = [instance for instance in dataset.get_data_info(index)['instances']
                     if not instance['ignore_flag']]
        sample.pred_instances = as_predictions(sample, instances, scale)
        evaluator.process([sample])
    return evaluator.evaluate(len(dataset))


@pytest.mark.parametrize('data', ['drawn', 'real'])
def test_the_truth_has_ap_1(data, request):
    metrics = evaluate(request.getfixturevalue(data))
    for task in ('bbox', 'segm'):
        for suffix in ('mAP', 'mAP_50', 'mAP_75'):
            assert metrics[f'coco/{task}_{suffix}'] == 1.0, (task, suffix)


def test_boxes_of_the_wrong_size_have_not(drawn):
    metrics = evaluate(drawn, scale=1.3)
    assert metrics['coco/bbox_mAP'] < 0.5
    assert metrics['coco/segm_mAP'] == 1.0
