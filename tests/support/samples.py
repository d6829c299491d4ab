"""Tiny data sets and configs that the tests of training and testing draw for themselves."""
import json
from pathlib import Path

import cv2
import numpy as np

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
CLASSES = ('red', 'green', 'blue')

DETECTION = """
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    '{configs}/_base_/default_runtime_mmdet.py']
model = dict(
    backbone=dict(
        _delete_=True, type='ECAResNet', depth=18, out_indices=(0, 1, 2, 3), frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=True), norm_eval=True),
    neck=dict(in_channels=[64, 128, 256, 512], out_channels=32),
    rpn_head=dict(in_channels=32, feat_channels=32),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=32),
        bbox_head=dict(in_channels=32, fc_out_channels=64, num_classes=3)),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=32)), rpn_proposal=dict(nms_pre=50, max_per_img=20),
        rcnn=dict(sampler=dict(num=16))),
    test_cfg=dict(rpn=dict(nms_pre=50, max_per_img=20), rcnn=dict(score_thr=0.0, max_per_img=5)))
load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True)]
dataset = dict(
    type='CheckedCocoDataset', data_root='{root}', ann_file='annotations.json',
    data_prefix=dict(img='images/'), metainfo=dict(classes=('red', 'green', 'blue')),
    pipeline=[*load, dict(type='PackDetInputs', meta_keys=(
        'img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))])
dataset['pipeline'].insert(1, dict(type='Resize', scale=(64, 64), keep_ratio=True))
train_dataloader = dict(
    batch_size=2, num_workers=0,
    dataset=dict(dataset, pipeline=[dict(type='SeedSample'), *dataset['pipeline']]),
    sampler=dict(type='DefaultSampler', shuffle=False),
    batch_sampler=dict(type='SeededBatchSampler'))
test_dataloader = dict(
    batch_size=2, num_workers=0, dataset=dict(test_mode=True, **dataset),
    sampler=dict(type='DefaultSampler', shuffle=False))
test_evaluator = dict(
    type='CheckedCocoMetric', ann_file='{root}/annotations.json', metric='bbox')
test_cfg = dict(type='TestLoop')
train_cfg = dict(type='RepeatableEpochLoop', max_epochs=1)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9))
custom_hooks = [dict(type='StopOnInvalidLossHook'), dict(type='KeepWorkDirHook')]
default_hooks = dict(logger=dict(interval=1))
randomness = dict(seed=0)
"""

CLASSIFICATION = """
_base_ = ['{configs}/_base_/default_runtime_mmpretrain.py']
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ECAResNet', depth=18, base_channels=8, norm_eval=True,
                  stem_channels=8, kernel_size=3),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=3, in_channels=64,
              loss=dict(type='CrossEntropyLoss')),
    data_preprocessor=dict(num_classes=3, mean=[128.0] * 3, std=[64.0] * 3, to_rgb=True))
dataset = dict(
    type='CustomDataset', data_root='{root}',
    pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')])
train_dataloader = dict(
    batch_size=4, num_workers=0,
    dataset=dict(dataset, pipeline=[dict(type='SeedSample'), *dataset['pipeline']]),
    sampler=dict(type='DefaultSampler', shuffle=False),
    batch_sampler=dict(type='SeededBatchSampler'))
test_dataloader = dict(
    batch_size=4, num_workers=0, dataset=dataset,
    sampler=dict(type='DefaultSampler', shuffle=False))
test_evaluator = dict(type='Accuracy', topk=(1, ))
test_cfg = dict()
train_cfg = dict(type='RepeatableEpochLoop', max_epochs=1)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9))
custom_hooks = [dict(type='StopOnInvalidLossHook'), dict(type='KeepWorkDirHook')]
default_hooks = dict(logger=dict(interval=1))
randomness = dict(seed=0)
"""


def draw_coco(root: Path, images: int = 4, size: int = 64) -> Path:
    """Draw pictures of rectangles with their COCO annotations; return the JSON's path."""
    rng = np.random.default_rng(0)
    (root / 'images').mkdir(parents=True)
    content = {'images': [], 'annotations': [],
               'categories': [{'id': i + 1, 'name': name} for i, name in enumerate(CLASSES)]}
    for image_id in range(1, images + 1):
        picture = rng.integers(0, 60, (size, size, 3), dtype=np.uint8)
        for corner in (4, size // 2):
            label = int(rng.integers(3))
            width, height = (int(side) for side in rng.integers(size // 4, size // 2 - 4, 2))
            picture[corner:corner + height, corner:corner + width, 2 - label] = 250
            content['annotations'].append({
                'id': len(content['annotations']) + 1, 'image_id': image_id, 'iscrowd': 0,
                'category_id': label + 1, 'bbox': [corner, corner, width, height],
                'area': width * height})
        name = f'{image_id:03d}.jpg'
        cv2.imwrite(str(root / 'images' / name), picture)
        content['images'].append(
            {'id': image_id, 'file_name': name, 'height': size, 'width': size})
    path = root / 'annotations.json'
    path.write_text(json.dumps(content))
    return path


def give_masks(annotations: Path) -> None:
    """Give every box of a COCO file a polygon of the same outline."""
    content = json.loads(annotations.read_text())
    for ann in content['annotations']:
        x, y, width, height = ann['bbox']
        ann['segmentation'] = [[x, y, x + width, y, x + width, y + height, x, y + height]]
    annotations.write_text(json.dumps(content))


def draw_classes(root: Path, images: int = 4, size: int = 32) -> None:
    """Draw a folder of coloured noise pictures for each class."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for index in range(images):
            picture = rng.integers(0, 120, (size, size, 3), dtype=np.uint8)
            picture[..., 2 - label] += 120
            cv2.imwrite(str(root / name / f'{index}.png'), picture)


def write_config(path: Path, text: str, root: Path, more: str = '') -> Path:
    """Write one of the configs above for the data in ``root``, with more lines at its end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.replace('{root}', str(root)).replace('{configs}', str(CONFIGS)) + more)
    return path
