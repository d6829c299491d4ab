"""Which boxes are left out, and when a file is taken for one of another format."""
import json

import pytest
from mmengine.registry import DATASETS, DefaultScope

from eca_mm.datasets.coco import box_problem
from eca_mm.datasets.coco_boxes import check_box_format
from eca_mm.utils.errors import UserError
from tests.support.samples import CLASSES, draw_coco, give_masks


@pytest.mark.parametrize(('box', 'problem'), [
    ([5, 5, 1, 9], ''), ([5, 5, 9, 1], ''), ([-5, -5, 6, 6], ''), ([63, 31, 9, 9], ''),
    ([5, 5, 0.5, 9], 'narrower or lower'), ([5, 5, 9, 0.5], 'narrower or lower'),
    ([64, 5, 9, 9], 'outside'), ([5, 32, 9, 9], 'outside'),
    ([-9, 5, 9, 9], 'outside'), ([5, -9, 9, 9], 'outside')])
def test_boxes_that_cannot_be_learnt(box, problem):
    found = box_problem(dict(bbox=box, area=9), dict(width=64, height=32))
    assert problem in found and bool(found) == bool(problem)


def boxes(*found, side=64):
    images = [dict(id=1, width=side, height=side)]
    check_box_format(images, [dict(id=i, image_id=1, bbox=list(box))
                              for i, box in enumerate(found, 1)], 'x.json')


def test_few_boxes_show_nothing():
    boxes(*[(30, 30, 60, 60)] * 3)
    with pytest.raises(UserError, match='4 of 4 boxes that leave their images'):
        boxes(*[(30, 30, 60, 60)] * 4)


def test_rounded_boxes_may_leave_their_images():
    boxes(*[(30, 30, 36, 36)] * 8)
    with pytest.raises(UserError, match='corners'):
        boxes(*[(30, 30, 36.5, 36.5)] * 8)


def test_slips_are_not_a_format():
    # One of eight leaves its image; all eight would fit as corners.
    boxes((30, 30, 60, 60), *[(2, 2, 20, 20)] * 7)
    with pytest.raises(UserError, match='2 of 8 boxes'):
        boxes(*[(30, 30, 60, 60)] * 2, *[(2, 2, 20, 20)] * 6)
    # Most leave theirs, but few would fit as corners.
    boxes(*[(40, 40, 30, 30)] * 8)


def test_images_of_one_pixel_have_boxes_of_one_pixel():
    boxes((0, 0, 1, 1), side=1)
    with pytest.raises(UserError, match='boxes from 0 to 1 only'):
        boxes((0, 0, 1, 1))


def build(path, **options):
    with DefaultScope.overwrite_default_scope('mmdet'):
        return DATASETS.build(dict(
            type='CheckedCocoDataset', ann_file=str(path), metainfo=dict(classes=CLASSES),
            data_prefix=dict(img=str(path.parent / 'images')), **options))


def test_boxes_without_mask_are_ignored_where_masks_are_learnt(tmp_path):
    path = draw_coco(tmp_path / 'data')
    give_masks(path)
    content = json.loads(path.read_text())
    content['annotations'][1]['segmentation'] = [[]]
    path.write_text(json.dumps(content))
    image = dict(type='LoadImageFromFile')
    found = build(path, pipeline=[image, dict(
        type='LoadAnnotations', with_bbox=True, with_mask=True)])[0]
    assert found['gt_ignore_flags'].tolist() == [False, True]
    found = build(path, pipeline=[image, dict(type='LoadAnnotations', with_bbox=True)])[0]
    assert found['gt_ignore_flags'].tolist() == [False, False]


def test_images_of_exactly_min_size_stay(tmp_path):
    path = draw_coco(tmp_path / 'data')
    options = dict(pipeline=[], filter_cfg=dict(min_size=64, filter_empty_gt=True))
    assert len(build(path, **options)) == 4
    content = json.loads(path.read_text())
    content['images'][0]['width'] = 63
    content['annotations'] = [ann for ann in content['annotations'] if ann['image_id'] != 2]
    path.write_text(json.dumps(content))
    data = build(path, **options)
    assert len(data) == 2
    assert '1 images with a side below 64 pixels (min_size of filter_cfg) (1)' in data._summary()
    assert '1 images without boxes (2)' in data._summary()
