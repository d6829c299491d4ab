"""The published evaluation, against a case worked out by hand and a brute-force loop."""
import json

import numpy as np
import pytest
import torch

from eca_mm.datasets import EventDetectionMetric
from eca_mm.datasets.event_frame_metric import average_precision, match
from eca_mm.utils.errors import UserError

CLASSES = ('person', 'car')


def write(path, truths: dict) -> str:
    """Annotation file of (x1, y1, x2, y2, label), and 1 for a crowd, by image."""
    annotations = [dict(image_id=image, category_id=box[4] + 1, iscrowd=sum(box[5:]),
                        bbox=[box[0], box[1], box[2] - box[0], box[3] - box[1]],
                        area=(box[2] - box[0]) * (box[3] - box[1]))
                   for image, boxes in truths.items() for box in boxes]
    path.write_text(json.dumps(dict(
        categories=[dict(id=i, name=name) for i, name in enumerate(CLASSES, 1)],
        images=[dict(id=i, file_name=f'seq{i % 2}/{i:06d}.png', height=100, width=100)
                for i in truths],
        annotations=[dict(ann, id=i) for i, ann in enumerate(annotations, 1)])))
    return str(path)


def evaluate(metric: EventDetectionMetric, found: dict) -> dict:
    metric.dataset_meta = dict(classes=CLASSES)
    for image, boxes in found.items():
        boxes = np.array(boxes, float).reshape(-1, 6)
        metric.process(None, [dict(img_id=image, pred_instances=dict(
            bboxes=torch.from_numpy(boxes[:, :4]), scores=torch.from_numpy(boxes[:, 5]),
            labels=torch.from_numpy(boxes[:, 4]).long()))])
    return metric.evaluate(len(found))


def test_worked_by_hand(tmp_path):
    """Three cars; hits at places 1, 3 and 4 of the ranking: precisions 1, 2/3, 3/4."""
    truths = {1: [(0, 0, 10, 10, 1), (20, 20, 40, 40, 1)], 2: [(50, 50, 60, 60, 1)]}
    found = {1: [(0, 0, 10, 10, 1, .9), (20, 20, 40, 40, 1, .7)],
             2: [(0, 0, 5, 5, 1, .8), (50, 50, 60, 60, 1, .6), (50, 50, 60, 60, 1, .04)]}
    metrics = evaluate(EventDetectionMetric(write(tmp_path / 'a.json', truths)), found)
    # The step to 2/3 takes the larger precision further on.
    expected = (1 + 3 / 4 + 3 / 4) / 3
    assert metrics == {f'events/{key}': pytest.approx(expected)
                       for key in ('mAP', 'mAP_50', 'mAP_75', 'car_AP')}


def test_average_precision():
    assert average_precision(np.array([.9, .8, .7]), np.array([True, False, True]), 4) == (
        pytest.approx((1 + 2 / 3) / 4))
    assert average_precision(np.zeros(0), np.zeros(0, bool), 3) == 0
    assert np.isnan(average_precision(np.zeros(0), np.zeros(0, bool), 0))


def test_second_detection_of_an_object_is_wrong():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 4, 10]], float)
    hits = match(boxes, np.array([[0, 0, 10, 10.]]), (.3, .95))
    assert hits.tolist() == [[True, False, False], [True, False, False]]
    hits = match(boxes[[2, 0]], np.array([[0, 0, 10, 10.]]), (.3, .95))
    assert hits.tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize('mark', ['iscrowd', 'ignore'])
def test_detections_on_ignored_objects_do_not_count(tmp_path, mark):
    """As with pycocotools: neither hits nor errors, however many lie on one of them."""
    truths = {1: [(0, 0, 10, 10, 1), (50, 50, 90, 90, 1)]}
    path = write(tmp_path / 'a.json', truths)
    found = {1: [(50, 50, 90, 90, 1, .95), (50, 50, 60, 60, 1, .9), (0, 0, 10, 10, 1, .8)]}
    assert evaluate(EventDetectionMetric(path), found)['events/mAP'] == pytest.approx((1 + 2 / 3)
                                                                                      / 2)
    content = json.loads(open(path).read())
    content['annotations'][1][mark] = 1
    (tmp_path / 'a.json').write_text(json.dumps(content))
    assert evaluate(EventDetectionMetric(path), found)['events/mAP'] == 1
    # Half of it lies beside: wrong from an IoU of .55 on.
    found = {1: [(30, 50, 70, 90, 1, .95), (0, 0, 10, 10, 1, .8)]}
    metrics = evaluate(EventDetectionMetric(path), found)
    assert (metrics['events/mAP_50'], metrics['events/mAP_75']) == (1, .5)
    # Of another class, and an image with nothing else.
    found = {1: [(50, 50, 90, 90, 0, .95), (0, 0, 10, 10, 1, .8)]}
    assert evaluate(EventDetectionMetric(path), found)['events/mAP'] == 1
    content['annotations'] = content['annotations'][1:]
    (tmp_path / 'a.json').write_text(json.dumps(content))
    assert evaluate(EventDetectionMetric(path), found) == {}


def test_crowds_count_as_with_pycocotools(tmp_path):
    """Detections apart from each other, where the two evaluations match alike."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    path = write(tmp_path / 'a.json', {1: [(0, 0, 10, 10, 1), (50, 50, 90, 90, 1, 1)]})
    found = {1: [(52, 52, 60, 60, 1, .95), (70, 70, 80, 80, 1, .9), (0, 0, 10, 10, 1, .8)]}
    metric = COCOeval(coco := COCO(path), coco.loadRes([
        dict(image_id=1, category_id=2, score=box[5],
             bbox=[box[0], box[1], box[2] - box[0], box[3] - box[1]]) for box in found[1]]), 'bbox')
    metric.evaluate()
    metric.accumulate()
    metric.summarize()
    assert evaluate(EventDetectionMetric(path), found)['events/mAP'] == pytest.approx(
        metric.stats[0]) == 1


def brute_force(truths: dict, found: dict, label: int, iou: float) -> float:
    """Average precision of a class, detection by detection."""
    ranking, total = [], 0
    for image, boxes in truths.items():
        objects = [box for box in boxes if box[4] == label and not any(box[5:])]
        crowds = [box for box in boxes if box[4] == label and any(box[5:])]
        total += len(objects)
        taken = set()
        for box in sorted((b for b in found[image] if b[5] > .05), key=lambda b: -b[5])[:100]:
            if box[4] != label:
                continue
            best, place = 0, None
            for i, other in enumerate(objects):
                width = min(box[2], other[2]) - max(box[0], other[0])
                height = min(box[3], other[3]) - max(box[1], other[1])
                common = max(width, 0) * max(height, 0)
                union = ((box[2] - box[0]) * (box[3] - box[1])
                         + (other[2] - other[0]) * (other[3] - other[1]) - common)
                if common / union > best:
                    best, place = common / union, i
            hit = best >= iou and place not in taken
            taken |= {place} if hit else set()
            area = (box[2] - box[0]) * (box[3] - box[1])
            on_crowd = any(
                max(min(box[2], crowd[2]) - max(box[0], crowd[0]), 0)
                * max(min(box[3], crowd[3]) - max(box[1], crowd[1]), 0) >= iou * area
                for crowd in crowds)
            if hit or not on_crowd:
                ranking.append((box[5], hit))
    ranking.sort(key=lambda entry: -entry[0])
    points = []
    for n in range(1, len(ranking) + 1):
        hits = sum(hit for _, hit in ranking[:n])
        points.append((hits / total, hits / n))
    area, before = 0., 0.
    for recall in sorted({recall for recall, _ in points}):
        area += (recall - before) * max(p for r, p in points if r >= recall)
        before = recall
    return area


@pytest.mark.parametrize('crowd_share', [0., .3])
def test_equals_brute_force(tmp_path, crowd_share):
    rng = np.random.default_rng(0)
    truths, found = {}, {}
    for image in range(1, 13):
        corners = rng.uniform(0, 70, (rng.integers(0, 6), 2))
        boxes = np.concatenate([corners, corners + rng.uniform(5, 30, corners.shape)], 1)
        labels = rng.integers(0, 2, len(boxes))
        crowds = rng.random(len(boxes)) < crowd_share
        truths[image] = [(*box.tolist(), int(label), int(crowd)) for box, label, crowd in zip(
            boxes, labels, crowds, strict=True)]
        copies = boxes.repeat(2, 0) + rng.normal(0, 1.5, (2 * len(boxes), 4))
        found[image] = [(*box.tolist(), int(label), float(score)) for box, label, score in zip(
            copies, labels.repeat(2), rng.uniform(0, 1, len(copies)), strict=True)]
    metric = EventDetectionMetric(write(tmp_path / 'a.json', truths))
    metrics = evaluate(metric, found)
    ious = np.arange(50, 100, 5) / 100
    table = np.array([[brute_force(truths, found, label, iou) for iou in ious]
                      for label in range(2)])
    assert 0.2 < table.mean() < 0.9
    for key, value in dict(mAP=table.mean(), mAP_50=table[:, 0].mean(), mAP_75=table[:, 5].mean(),
                           person_AP=table[0].mean(), car_AP=table[1].mean()).items():
        assert metrics[f'events/{key}'] == pytest.approx(value, abs=1e-12)


def test_parts(tmp_path):
    truths = {1: [(0, 0, 10, 10, 1)], 2: [(0, 0, 10, 10, 1)]}
    found = {1: [(0, 0, 10, 10, 1, .9)], 2: [(50, 50, 60, 60, 1, .8)]}
    path = write(tmp_path / 'a.json', truths)
    (tmp_path / 'day.txt').write_text('000001\n')
    (tmp_path / 'night.txt').write_text('seq0/000002.png\n')
    metrics = evaluate(EventDetectionMetric(path, classwise=False, parts=dict(
        day=str(tmp_path / 'day.txt'), night=str(tmp_path / 'night.txt'))), found)
    assert (metrics['events/day_mAP'], metrics['events/night_mAP_50']) == (1, 0)
    assert metrics['events/mAP'] == .5
    for name, text in (('empty', 'other\n'), ('folder', 'seq1/000002\n')):
        (tmp_path / f'{name}.txt').write_text(text)
        with pytest.raises(UserError, match='names no image'):
            evaluate(EventDetectionMetric(path, parts=dict(x=str(tmp_path / f'{name}.txt'))), found)
    with pytest.raises(UserError, match='cannot be read'):
        evaluate(EventDetectionMetric(path, parts=dict(x=str(tmp_path / 'absent.txt'))), found)
