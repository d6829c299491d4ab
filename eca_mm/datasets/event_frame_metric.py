"""The evaluation of the published event-and-frame detectors."""
from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from eca_mm.utils.errors import UserError
from eca_mm.utils.regular_files import read_text

from .coco_index import CheckedCOCO

_IOUS = tuple(np.arange(50, 100, 5) / 100)


def average_precision(scores: np.ndarray, hits: np.ndarray, truths: int) -> float:
    """Exact area under the precision-recall curve.

    Precision is made to fall with recall by its largest value further on, and every step of the
    recall counts with its width; COCO's own takes the precision at 101 recalls.

    Args:
        scores (np.ndarray): Scores of the detections of a class, of shape (N,).
        hits (np.ndarray): Whether each found an object, booleans of shape (N,).
        truths (int): Number of objects of that class.

    Returns:
        float: From 0 to 1; NaN without objects.
    """
    if not truths:
        return float('nan')
    hits = hits[np.argsort(-scores, kind='stable')]
    found = np.cumsum(hits)
    precision = found / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(precision[hits].sum() / truths)


def match(boxes: np.ndarray, truths: np.ndarray, ious: Sequence[float]) -> np.ndarray:
    """Decide which detections of an image and a class find an object.

    Each detection, the surest first, belongs to the object that it overlaps most. It is a hit if
    the overlap reaches the threshold and no surer detection took that object.

    Args:
        boxes (np.ndarray): Detections (x1, y1, x2, y2) in falling order of score, (N, 4).
        truths (np.ndarray): Objects of shape (M, 4).
        ious (Sequence[float]): Thresholds.

    Returns:
        np.ndarray: Booleans of shape (len(ious), N).
    """
    hits = np.zeros((len(ious), len(boxes)), bool)
    if not len(truths) or not len(boxes):
        return hits
    common, areas, truth_areas = _intersections(boxes, truths)
    overlap = common / np.maximum(areas[:, None] + truth_areas[None] - common, 1e-12)
    best = overlap.argmax(1)
    for place, threshold in enumerate(ious):
        reached = np.flatnonzero(overlap[np.arange(len(boxes)), best] >= threshold)
        # The first detection of each object.
        _, first = np.unique(best[reached], return_index=True)
        hits[place, reached[first]] = True
    return hits


def covered(boxes: np.ndarray, crowds: np.ndarray, ious: Sequence[float]) -> np.ndarray:
    """Decide which detections lie on objects that do not count, as pycocotools does.

    Any number of detections may lie on such an object; what has to reach the threshold is the
    share of the detection that the object covers.

    Args:
        boxes (np.ndarray): Detections (x1, y1, x2, y2) of shape (N, 4).
        crowds (np.ndarray): Objects of shape (M, 4).
        ious (Sequence[float]): Thresholds.

    Returns:
        np.ndarray: Booleans of shape (len(ious), N).
    """
    if not len(crowds):
        return np.zeros((len(ious), len(boxes)), bool)
    common, areas, _ = _intersections(boxes, crowds)
    share = (common / np.maximum(areas[:, None], 1e-12)).max(1)
    return share[None] >= np.array(ious)[:, None]


def _intersections(boxes: np.ndarray, truths: np.ndarray) -> tuple[np.ndarray, ...]:
    """Areas of the intersections, (N, M), and of the boxes of both kinds."""
    low = np.maximum(boxes[:, None, :2], truths[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], truths[None, :, 2:])
    return (high - low).clip(0).prod(-1), *((b[:, 2:] - b[:, :2]).prod(-1)
                                            for b in (boxes, truths))


@METRICS.register_module()
class EventDetectionMetric(BaseMetric):
    """Average precision as the event-and-frame detectors of FRN report it (ECCV 2024).

    The exact area under the precision-recall curve, averaged over 10 IoUs from 0.5 to 0.95, with
    detections of a score above 0.05 and at most 100 of an image. pycocotools interpolates and
    matches otherwise, so its figures differ slightly: report both. Classes without objects do
    not count.

    Objects that are marked ``iscrowd`` or ``ignore`` are neither found nor missed, and detections
    that find no other object and lie on one of them do not count, as with pycocotools' crowds: the
    share of the detection that it covers has to reach the IoU. (pycocotools itself overwrites
    ``ignore`` by ``iscrowd``.) Objects narrower than a pixel are left out; a detection there is
    wrong.

    Args:
        ann_file (str): Annotation file in COCO's format.
        score_thr (float): Detections at or below it do not count. Defaults to 0.05.
        max_per_img (int): Most detections of an image. Defaults to 100.
        parts (dict[str, str], optional): Names and files of parts of the data that are evaluated
            too, such as day and night; a file has the name of one image per line, with as
            much of its path as tells it from others.
        classwise (bool): Whether the figures of each class are reported. Defaults to True.
        **kwargs: All arguments of :class:`mmengine.evaluator.BaseMetric`.

    Raises:
        UserError: If a file cannot be read, or a part names no image of the annotation file.
    """

    default_prefix = 'events'

    def __init__(self,
                 ann_file: str,
                 score_thr: float = 0.05,
                 max_per_img: int = 100,
                 parts: dict[str, str] | None = None,
                 classwise: bool = True,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ann_file, self.score_thr, self.max_per_img = ann_file, score_thr, max_per_img
        self.parts, self.classwise = dict(parts or {}), classwise
        self._coco: CheckedCOCO | None = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the detections of a batch that count.

        Args:
            data_batch (Any): Not used.
            data_samples (Sequence[dict]): With ``img_id`` and ``pred_instances``.
        """
        for sample in data_samples:
            found = sample['pred_instances']
            scores = found['scores'].cpu().numpy()
            order = np.argsort(-scores, kind='stable')
            order = order[scores[order] > self.score_thr][:self.max_per_img]
            self.results.append((sample['img_id'], found['bboxes'].cpu().numpy()[order].astype(
                np.float64), scores[order], found['labels'].cpu().numpy()[order]))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate all detections.

        Args:
            results (list): What :meth:`process` kept of all images.

        Returns:
            dict[str, float]: ``mAP``, ``mAP_50``, ``mAP_75``, ``<class>_AP``, and the same of
            each part as ``<part>_mAP`` ...; nothing of classes without objects.
        """
        classes = self.dataset_meta['classes']
        truths = self._truths(classes)
        results = [entry for entry in results if entry[0] in truths]
        metrics = self._evaluate(results, truths, classes, '')
        for name, path in self.parts.items():
            chosen = self._part(path)
            metrics.update(self._evaluate([entry for entry in results if entry[0] in chosen],
                                          {i: truths[i] for i in chosen}, classes, f'{name}_'))
        return metrics

    def _evaluate(self, results: list, truths: dict, classes: Sequence[str], prefix: str) -> dict:
        table = np.full((len(classes), len(_IOUS)), np.nan)
        for label in range(len(classes)):
            count = sum(int(((labels == label) & ~ignored).sum())
                        for _, labels, ignored in truths.values())
            scores, hits = [np.zeros(0)], [np.zeros((len(_IOUS), 0), bool)]
            counted = list(hits)
            for ident, boxes, values, labels in results:
                mine = labels == label
                objects, object_labels, ignored = truths[ident]
                same = object_labels == label
                scores.append(values[mine])
                hits.append(match(boxes[mine], objects[same & ~ignored], _IOUS))
                counted.append(hits[-1] | ~covered(boxes[mine], objects[same & ignored], _IOUS))
            all_scores = np.concatenate(scores)
            table[label] = [
                average_precision(all_scores[counts], row[counts], count) for row, counts in zip(
                    np.concatenate(hits, 1), np.concatenate(counted, 1), strict=True)]
        present = ~np.isnan(table[:, 0])
        if not present.any():
            return {}
        mean = table[present].mean(0)
        metrics = {f'{prefix}mAP': mean.mean(), f'{prefix}mAP_50': mean[0],
                   f'{prefix}mAP_75': mean[5]}
        if self.classwise:
            metrics.update({f'{prefix}{name}_AP': row.mean() for name, row, has in zip(
                classes, table, present, strict=True) if has})
        return {key: float(value) for key, value in metrics.items()}

    def _index(self) -> CheckedCOCO:
        if self._coco is None:
            self._coco = CheckedCOCO(self.ann_file)
        return self._coco

    def _truths(self, classes: Sequence[str]) -> dict:
        """Boxes of every image, their labels, and whether they are to be ignored."""
        coco = self._index()
        labels = {ident: list(classes).index(category['name'])
                  for ident, category in coco.cats.items() if category['name'] in classes}
        found = {}
        for ident in coco.imgs:
            # The published evaluation leaves boxes out that are narrower than a pixel.
            entries = [ann for ann in coco.imgToAnns.get(ident, ()) if ann['category_id'] in labels
                       and min(ann['bbox'][2:]) >= 1]
            boxes = np.array([ann['bbox'] for ann in entries], np.float64).reshape(-1, 4)
            boxes[:, 2:] += boxes[:, :2]
            found[ident] = (boxes, np.array([labels[ann['category_id']] for ann in entries], int),
                            np.array([bool(ann.get('iscrowd') or ann.get('ignore'))
                                      for ann in entries], bool))
        return found

    def _part(self, path: str) -> set:
        try:
            lines = read_text(path).split('\n')
        except (OSError, ValueError) as error:
            raise UserError(f'List of images {path} cannot be read '
                            f'({getattr(error, "strerror", None) or error}); check parts of '
                            'EventDetectionMetric.') from error
        names = {os.path.splitext(line.strip())[0] for line in lines}
        chosen = {ident for ident, image in self._index().imgs.items()
                  if not names.isdisjoint(_endings(image['file_name']))}
        if not chosen:
            raise UserError(f'List of images {path} names no image of {self.ann_file}; one name '
                            'per line is expected.')
        return chosen


def _endings(path: str) -> set[str]:
    """``a/b/c.png`` as ``c``, ``b/c`` and ``a/b/c``."""
    parts = os.path.splitext(path)[0].split('/')
    return {'/'.join(parts[place:]) for place in range(len(parts))}
