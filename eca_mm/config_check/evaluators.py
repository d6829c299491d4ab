"""Evaluators that do not fit the data or the model."""
import os
from collections.abc import Iterator
from typing import Any

from mmdet.datasets import BaseDetDataset
from mmdet.datasets.base_video_dataset import BaseVideoDataset
from mmdet.evaluation import CocoMetric
from mmdet.models import DetDataPreprocessor, RTMDetInsHead
from mmengine.registry import METRICS, MODELS
from mmpretrain.evaluation import Accuracy

from eca_mm.datasets import CheckedCocoMetric
from eca_mm.utils.signatures import arguments

from .context import SPLITS, ConfigContext, DataSet, Finding
from .lookup import find


def check(context: ConfigContext) -> Iterator[Finding]:
    """Compare the evaluators with the data sets and the heads, and masks with both.

    Args:
        context (ConfigContext): The config.

    Yields:
        Finding: What could not be evaluated, or would be evaluated against other annotations.
    """
    for split in SPLITS[1:]:
        for where, metric in context.metrics(split):
            kind = find(metric.get('type'), METRICS, metric.get('_scope_') or context.scope)
            for data in context.of(split):
                yield from _compare(where, metric, kind, data, context)
    yield from _check_masks(context)


def _compare(where: str, metric: dict, kind: Any, data: DataSet,
             context: ConfigContext) -> Iterator[Finding]:
    if not isinstance(kind, type):
        return
    detection = isinstance(data.built, BaseDetDataset)
    if issubclass(kind, CocoMetric):
        if data.built is not None and not isinstance(data.built, BaseDetDataset | BaseVideoDataset):
            yield _error(f'{where}.type', f'{kind.__name__} evaluates boxes, but the data set is '
                         f'a {type(data.built).__name__}', 'a metric of classification')
            return
        yield from _check_coco(where, metric, kind, data, context)
    elif issubclass(kind, Accuracy) or kind.__module__.startswith('mmpretrain.'):
        if detection:
            yield _error(f'{where}.type', f'{kind.__name__} evaluates classes of images, but '
                         f'{data.where} is a {type(data.built).__name__}', 'CocoMetric')
        elif 'topk' in arguments(kind)[0]:
            yield from _check_topk(where, metric, kind, context)


def _check_coco(where: str, metric: dict, kind: type, data: DataSet,
                context: ConfigContext) -> Iterator[Finding]:
    path = metric.get('ann_file')
    if path and '://' not in path:
        if not os.path.isfile(path):
            yield Finding('error', 'data', f'{where}.ann_file', f'the annotation file {path} does '
                          'not exist', getattr(data.built, 'ann_file', '') or 'an annotation file')
        elif data.has_instances and os.path.isfile(data.built.ann_file) and (
                not os.path.samefile(path, data.built.ann_file)):
            yield _error(f'{where}.ann_file', f'{path} is not the annotation file of {data.where}, '
                         'so that images are evaluated as if nothing had been found in them',
                         data.built.ann_file)
    if path and not issubclass(kind, CheckedCocoMetric) and data.cfg.get('indices') is not None:
        yield _error(f'{where}.type', f'{kind.__name__} counts all images of {path}, but '
                     f'{data.where} looks at a part of them only (indices)',
                     "type='CheckedCocoMetric', which counts the images that were predicted")
    metrics = metric.get('metric', 'bbox')
    metrics = [metrics] if isinstance(metrics, str) else metrics
    if 'segm' in metrics and not _has_masks(context):
        yield _error(f'{where}.metric', 'masks are evaluated (segm), but the model has no '
                     'mask_head', "metric='bbox'")
    elif 'segm' not in metrics and 'bbox' in metrics and _has_masks(context):
        yield Finding('warning', 'evaluator', f'{where}.metric', 'the model has a mask_head, but '
                      'masks are not evaluated', "metric=['bbox', 'segm']")


def _check_topk(where: str, metric: dict, kind: Any, context: ConfigContext) -> Iterator[Finding]:
    head = context.config.model.get('head') or {}
    classes = head.get('num_classes') if isinstance(head, dict) else None
    topk = metric.get('topk', arguments(kind)[0]['topk'].default)
    topk = [topk] if isinstance(topk, int) else topk or ()
    if classes and topk and max(topk) > classes:
        yield _error(f'{where}.topk', f'the {max(topk)} best of {classes} classes are asked for',
                     f'topk=({", ".join(str(k) for k in topk if k <= classes)}, )')


def _check_masks(context: ConfigContext) -> Iterator[Finding]:
    """A mask head trains on the masks that the pipeline loads."""
    settings = context.config.model.get('data_preprocessor') or {}
    # BoxInst's makes the masks out of the boxes.
    if not _has_masks(context) or DetDataPreprocessor is not find(
            settings.get('type'), MODELS, context.scope):
        return
    for data in context.of('train'):
        for index, step in enumerate(data.cfg.get('pipeline') or ()):
            name = str(step.get('type')).rpartition('.')[2]
            if name == 'LoadAnnotations' and not step.get('with_mask'):
                yield _error(f'{data.where}.pipeline.{index}', 'the model has a mask_head, but the '
                             'pipeline loads no masks', 'with_mask=True')


def _has_masks(context: ConfigContext) -> bool:
    model = context.config.model
    head = model.get('bbox_head')
    kind = find(head.get('type'), MODELS, context.scope) if isinstance(head, dict) else None
    # RTMDet-Ins' head of boxes has one for masks in it.
    roi_head = model.get('roi_head') or {}
    # MaskFormer's kind calls it panoptic_head, with instances too.
    return bool(roi_head.get('mask_head') or model.get('mask_head') or model.get('panoptic_head')
                or (isinstance(kind, type) and issubclass(kind, RTMDetInsHead)))


def _error(where: str, message: str, expected: str) -> Finding:
    return Finding('error', 'evaluator', where, message, expected)
