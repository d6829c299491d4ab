"""Entries of a COCO file that pycocotools must not see."""
import numpy as np
import pycocotools.mask
import pytest

from eca_mm.datasets.coco_records import BadRecord, check_annotation

IMAGE = dict(id=1, file_name='a.jpg', height=6, width=8)


def annotation(**changes):
    return dict(dict(id=1, image_id=1, category_id=1, bbox=[0, 0, 2, 2], area=4), **changes)


def compressed(height=6, width=8):
    """An RLE of many short runs, each from the third on written as a difference."""
    pixels = np.random.default_rng(0).integers(0, 2, (height, width), np.uint8)
    rle = pycocotools.mask.encode(np.asfortranarray(pixels))
    return dict(size=list(rle['size']), counts=rle['counts'].decode())


@pytest.mark.parametrize('mask', [
    dict(size=[6, 8], counts=[0, 48]), dict(size=[6, 8], counts=[40, 8]), compressed(),
    [[0, 0, 2, 0, 2, 2]]])
def test_masks_that_fit_their_image(mask):
    check_annotation(annotation(segmentation=mask), IMAGE)


@pytest.mark.parametrize(('mask', 'problem'), [
    (dict(size=[8, 6], counts=[0, 48]), r'size \[8, 6\], but its image has \[6, 8\]'),
    (dict(size=[6, 8], counts=[0, 47]), '47 pixels, but its image has 48'),
    (dict(size=[6, 8], counts=[0, 49]), '49 pixels, but its image has 48'),
    (dict(size=[6, 8], counts=[49, -1]), 'cannot be decoded'),
    (dict(compressed(6, 9), size=[6, 8]), '54 pixels, but its image has 48'),
    ([[0, 0, 2, 0, 1e9, 2]], 'far outside its image')])
def test_masks_that_would_write_beyond_their_memory(mask, problem):
    with pytest.raises(BadRecord, match=problem):
        check_annotation(annotation(segmentation=mask), IMAGE)


@pytest.mark.parametrize('key', ['id', 'image_id', 'category_id'])
def test_ids_that_doubles_cannot_hold(key):
    for value in (2**53, -2**53, 7.0):
        check_annotation(annotation(**{key: value}), None)
    for value in (2**53 + 1, -2**53 - 1, 1e300, 7.5, True):
        with pytest.raises(BadRecord, match=f'the {key} '):
            check_annotation(annotation(**{key: value}), None)
