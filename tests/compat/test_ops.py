"""The operators of the stand-in for mmcv._ext, against their definitions in NumPy."""
import itertools

import mmcv
import mmcv.ops
import numpy as np
import pytest
import torch
from mmdet.models.losses.focal_loss import py_sigmoid_focal_loss

from tests.support.boxes import ROIS, crowd, features

# ---- NumPy references, written from the definitions ----

def iou(a, b, offset):
    width = min(a[2], b[2]) - max(a[0], b[0]) + offset
    height = min(a[3], b[3]) - max(a[1], b[1]) + offset
    if width <= 0 or height <= 0:
        return 0.0
    area = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)]
    return width * height / (sum(area) - width * height)


def reference_nms(boxes, scores, threshold, offset=0, score_threshold=0.0, max_num=-1):
    order = [i for i in np.argsort(-scores, kind='stable')
             if score_threshold <= 0 or scores[i] > score_threshold]
    kept = []
    for i in order:
        if all(iou(boxes[i], boxes[j], offset) <= threshold for j in kept):
            kept.append(i)
    return kept[:max_num] if max_num > 0 else kept


def samples(roi, shape, bins, scale, ratio, aligned):
    """Yields (bin y, bin x, number of the bin's samples, [(row, column, weight), ...])."""
    height, width = shape
    x1, y1, x2, y2 = roi * scale - (0.5 if aligned else 0.0)
    roi_width, roi_height = x2 - x1, y2 - y1
    if not aligned:
        roi_width, roi_height = max(roi_width, 1.0), max(roi_height, 1.0)
    bin_height, bin_width = roi_height / bins[0], roi_width / bins[1]
    rows = ratio or int(np.ceil(bin_height))
    columns = ratio or int(np.ceil(bin_width))
    for by, bx, iy, ix in itertools.product(range(bins[0]), range(bins[1]), range(rows),
                                            range(columns)):
        y = y1 + by * bin_height + (iy + 0.5) * bin_height / rows
        x = x1 + bx * bin_width + (ix + 0.5) * bin_width / columns
        taps = []
        if -1 <= y <= height and -1 <= x <= width:
            y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
            for row, column in itertools.product((int(y), int(y) + 1), (int(x), int(x) + 1)):
                weight = (1 - abs(y - row)) * (1 - abs(x - column))
                if weight:
                    taps.append((row, column, weight))
        yield by, bx, rows * columns, taps


def reference_roi_align(features, rois, bins, scale, ratio, aligned, grad_output=None):
    """Returns the pooled RoIs, or the gradient by the features where `grad_output` is given."""
    pooled = np.zeros((len(rois), features.shape[1], *bins))
    gradient = np.zeros(features.shape)
    for k, roi in enumerate(rois):
        image = int(roi[0])
        for by, bx, count, taps in samples(roi[1:], features.shape[2:], bins, scale, ratio,
                                           aligned):
            for row, column, weight in taps:
                pooled[k, :, by, bx] += weight / count * features[image, :, row, column]
                if grad_output is not None:
                    gradient[image, :, row, column] += weight / count * grad_output[k, :, by, bx]
    return pooled if grad_output is None else gradient


# ---- NMS ----



@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('threshold', [0.0, 0.3, 0.5, 0.9])
def test_nms_keeps_what_the_definition_keeps(stand_in, dtype, offset, threshold):
    boxes, scores = crowd(120, seed=1, dtype=dtype)
    dets, kept = mmcv.ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold,
                              offset=offset)
    expected = reference_nms(boxes, scores, threshold, offset)
    assert kept.tolist() == expected
    np.testing.assert_array_equal(dets.numpy(), np.c_[boxes, scores][expected])


@pytest.mark.parametrize('score_threshold, max_num', [(0.402, -1), (0.0, 7), (0.402, 7), (2.0, 7)])
def test_nms_filters_scores_and_limits_the_number(stand_in, score_threshold, max_num):
    boxes, scores = crowd(120, seed=2)
    _, kept = mmcv.ops.nms(boxes, scores, 0.5, score_threshold=score_threshold, max_num=max_num)
    assert kept.tolist() == reference_nms(boxes, scores, 0.5, 0, score_threshold, max_num)


def test_offset_1_counts_pixels(stand_in):
    # 2 of 4 pixels shared by corners (IoU 0), but whole columns when the last pixel counts (1/3).
    boxes = np.array([[0, 0, 1, 1], [1, 0, 2, 1]], dtype=np.float32)
    scores = np.array([0.9, 0.8], dtype=np.float32)
    assert mmcv.ops.nms(boxes, scores, 0.3, offset=0)[1].tolist() == [0, 1]
    assert mmcv.ops.nms(boxes, scores, 0.3, offset=1)[1].tolist() == [0]


def test_an_iou_equal_to_the_threshold_is_kept(stand_in):
    # IoU 3 / 10; in double precision the threshold would be below its own single precision value.
    boxes = np.array([[0, 0, 10, 1], [0, 0, 3, 1]], dtype=np.float32)
    scores = np.array([0.9, 0.8], dtype=np.float32)
    assert mmcv.ops.nms(boxes, scores, 0.3)[1].tolist() == [0, 1]


def test_nms_keeps_the_first_of_equal_scores(stand_in):
    boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 9], [20, 20, 29, 29]], dtype=np.float32)
    scores = np.full(3, 0.5, dtype=np.float32)
    assert mmcv.ops.nms(boxes, scores, 0.5)[1].tolist() == [0, 2]


@pytest.mark.parametrize('offset', [0, 1])
def test_nms_of_nothing_is_nothing(stand_in, offset):
    dets, kept = mmcv.ops.nms(torch.empty(0, 4), torch.empty(0), 0.5, offset=offset)
    assert dets.shape == (0, 5) and kept.shape == (0,) and kept.dtype == torch.int64


def test_nms_takes_half_precision(stand_in):
    boxes, scores = (torch.from_numpy(a).half() for a in crowd(60, seed=3))
    kept = stand_in.nms(boxes, scores, iou_threshold=0.5, offset=0)
    assert kept.tolist() == reference_nms(boxes.numpy().astype(np.float32), scores.numpy(), 0.5)


@pytest.mark.parametrize('options', [{}, {'class_agnostic': True}, {'split_thr': 10},
                                     {'split_thr': 10, 'max_num': 9}, {'max_num': 9}])
def test_batched_nms(stand_in, options):
    boxes, scores = crowd(90, seed=4)
    classes = np.random.default_rng(4).integers(0, 3, 90)
    dets, kept = mmcv.ops.batched_nms(
        torch.from_numpy(boxes), torch.from_numpy(scores), torch.from_numpy(classes),
        dict(type='nms', iou_threshold=0.5, **options))
    if options.get('class_agnostic'):
        expected = reference_nms(boxes, scores, 0.5)
    else:
        members = [np.flatnonzero(classes == c) for c in range(3)]
        expected = [m[i] for m in members for i in reference_nms(boxes[m], scores[m], 0.5)]
        expected.sort(key=lambda i: -scores[i])
    expected = expected[:options.get('max_num')]
    assert kept.tolist() == expected
    np.testing.assert_array_equal(dets.numpy(), np.c_[boxes, scores][expected])


# ---- RoIAlign ----



PRECISION = {np.float64: dict(rtol=1e-10, atol=1e-12), np.float32: dict(rtol=2e-4, atol=2e-5)}


@pytest.mark.parametrize('dtype', list(PRECISION))
@pytest.mark.parametrize('ratio', [0, 2])
@pytest.mark.parametrize('aligned', [False, True])
@pytest.mark.parametrize('bins', [(7, 7), (2, 3)])
def test_roi_align_equals_the_definition(stand_in, dtype, ratio, aligned, bins):
    maps, rois = features(dtype), ROIS.astype(dtype)
    leaf = torch.from_numpy(maps).requires_grad_()
    pooled = mmcv.ops.roi_align(leaf, torch.from_numpy(rois), bins, 0.5, ratio, 'avg', aligned)
    expected = reference_roi_align(maps, rois, bins, 0.5, ratio, aligned)
    np.testing.assert_allclose(pooled.detach().numpy(), expected, **PRECISION[dtype])

    upstream = np.random.default_rng(1).normal(size=pooled.shape).astype(dtype)
    pooled.backward(torch.from_numpy(upstream))
    expected = reference_roi_align(maps, rois, bins, 0.5, ratio, aligned, upstream)
    np.testing.assert_allclose(leaf.grad.numpy(), expected, **PRECISION[dtype])


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_roi_align_in_half_precision(stand_in, dtype):
    leaf = torch.from_numpy(features(np.float32)).to(dtype).requires_grad_()
    rois = torch.from_numpy(ROIS).to(dtype)
    pooled = mmcv.ops.roi_align(leaf, rois, (7, 7), 0.5, 2, 'avg', True)
    pooled.sum().backward()
    assert pooled.dtype == leaf.grad.dtype == dtype
    arguments = (leaf.detach().double().numpy(), rois.double().numpy(), (7, 7), 0.5, 2, True)
    tolerance = dict(rtol=3 * torch.finfo(dtype).eps, atol=3 * torch.finfo(dtype).eps)
    np.testing.assert_allclose(pooled.detach().double().numpy(), reference_roi_align(*arguments),
                               **tolerance)
    np.testing.assert_allclose(leaf.grad.double().numpy(), reference_roi_align(
        *arguments, np.ones(pooled.shape)), **tolerance)


def test_roi_align_without_rois(stand_in):
    leaf = torch.ones(1, 2, 8, 8, requires_grad=True)
    pooled = mmcv.ops.roi_align(leaf, torch.empty(0, 5), (7, 7), 1.0, 0, 'avg', True)
    pooled.sum().backward()
    assert pooled.shape == (0, 2, 7, 7) and not leaf.grad.any()


def test_roi_align_of_channels_last_and_gradients_not_contiguous(stand_in):
    maps = torch.from_numpy(features(np.float64)).contiguous(memory_format=torch.channels_last)
    leaf = maps.requires_grad_()
    pooled = mmcv.ops.roi_align(leaf, torch.from_numpy(ROIS), (4, 4), 0.5, 2, 'avg', True)
    upstream = torch.randn(4, 4, *pooled.shape[:2], dtype=torch.float64).permute(2, 3, 0, 1)
    pooled.backward(upstream)
    expected = reference_roi_align(features(np.float64), ROIS, (4, 4), 0.5, 2, True,
                                   upstream.numpy())
    np.testing.assert_allclose(leaf.grad.numpy(), expected, **PRECISION[np.float64])


def test_max_pooling_is_refused(stand_in):
    with pytest.raises(NotImplementedError, match='roi_align with pool_mode="max".*make mmcv-ops'):
        mmcv.ops.roi_align(torch.ones(1, 1, 4, 4), torch.zeros(1, 5), 2, 1.0, 2, 'max', True)


# ---- focal loss ----

@pytest.mark.parametrize('gamma, alpha', [(2.0, 0.25), (1.5, 0.6)])
def test_focal_loss_equals_mmdets_own_formula(stand_in, gamma, alpha):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20, 5, generator=generator, dtype=torch.float64) * 4
    target = torch.randint(0, 6, (20,), generator=generator)  # 5 is background
    fast, plain = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = mmcv.ops.sigmoid_focal_loss(fast, target, gamma, alpha, None, 'sum')
    one_hot = torch.nn.functional.one_hot(target, 6)[:, :5]
    expected = py_sigmoid_focal_loss(plain, one_hot, gamma=gamma, alpha=alpha, reduction='sum')
    torch.testing.assert_close(loss, expected)
    (3 * loss).backward()
    (3 * expected).backward()
    torch.testing.assert_close(fast.grad, plain.grad)


def test_focal_loss_weighs_the_targets_class(stand_in):
    logits = torch.randn(6, 2, dtype=torch.float64)
    target = torch.tensor([0, 1, 2, 0, 1, 2])
    weight = torch.tensor([2.0, 3.0], dtype=torch.float64)

    def loss(weight):
        return mmcv.ops.sigmoid_focal_loss(logits, target, 2.0, 0.25, weight, 'none')

    factor = torch.tensor([2.0, 3, 1, 2, 3, 1], dtype=torch.float64)
    torch.testing.assert_close(loss(weight), loss(None) * factor[:, None])


@pytest.mark.parametrize('ratio', [0, 2])
@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_rois_of_a_diverged_network_become_nan(stand_in, value, ratio):
    # torchvision's operator ends the process with a segmentation fault.
    x = torch.from_numpy(features(np.float32)).requires_grad_()
    rois = torch.tensor([[0, 2., 2, 20, 20], [0, value, 2, 20, 20], [value, 2, 2, 20, 20]])
    pooled = mmcv.ops.roi_align(x, rois, (3, 3), 0.5, ratio, 'avg', True)
    assert pooled[1:].isnan().all()
    pooled.sum().backward()
    alone = torch.from_numpy(features(np.float32)).requires_grad_()
    expected = mmcv.ops.roi_align(alone, rois[:1], (3, 3), 0.5, ratio, 'avg', True)
    expected.sum().backward()
    torch.testing.assert_close(pooled[:1], expected, rtol=0, atol=0)
    torch.testing.assert_close(x.grad, alone.grad, rtol=0, atol=0)
