"""The drawn data set follows COCO's format exactly, is repeatable, and never loses files."""
import json
import random

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO

from eca_mm.datasets import CheckedCocoDataset, shapes
from eca_mm.datasets.shapes import CLASSES, draw_image, make_shapes
from eca_mm.utils.errors import UserError


def content(root):
    return {path.relative_to(root).as_posix(): path.read_bytes()
            for path in root.rglob('*') if path.is_file()}


def small(out, **options):
    return make_shapes(out, **{'num_train': 3, 'num_val': 2, 'size': 64, **options})


@settings(deadline=None)
@given(st.integers(64, 300), st.integers())
def test_annotations_are_what_was_painted(size, seed):
    image, annotations = draw_image(size, random.Random(seed))
    assert image.shape == (size, size, 3) and annotations
    taken = np.zeros((size, size), int)
    for annotation in annotations:
        rle = mask_utils.frPyObjects(annotation['segmentation'], size, size)[0]
        mask = mask_utils.decode(rle).astype(bool)
        taken += mask
        assert annotation['area'] == mask.sum()
        rows, columns = np.nonzero(mask)
        assert annotation['bbox'] == [columns.min(), rows.min(), np.ptp(columns) + 1,
                                      np.ptp(rows) + 1]
        colours = np.unique(image[mask], axis=0)
        assert len(colours) == 1
        # The border outside shows the background or another shape, never this one's colour.
        border = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3))).astype(bool) & ~mask
        assert not (image[border] == colours[0]).all(1).any()
        polygon = np.array(annotation['segmentation'][0])
        assert polygon.min() >= 0 and polygon.max() <= size
    assert taken.max() == 1


def test_same_arguments_give_same_files(tmp_path):
    first, second = small(tmp_path / 'a'), small(tmp_path / 'b')
    assert content(first) == content(second)
    assert content(small(tmp_path / 'c', seed=1)) != content(first)


def test_number_of_images_changes_no_image(tmp_path):
    few, more = content(small(tmp_path / 'a')), content(small(tmp_path / 'b', num_train=5))
    assert all(few[name] == more[name] for name in few if name.endswith('.jpg'))
    assert len([name for name in more if name.startswith('train/')]) == 5


def test_splits_share_no_image(tmp_path):
    files = [data for name, data in content(small(tmp_path / 'a')).items() if name[-4:] == '.jpg']
    assert len(files) == len(set(files)) == 5


def test_detector_reads_boxes_and_masks(tmp_path):
    root = small(tmp_path / 'data', num_train=20)
    file = root / 'annotations' / 'instances_train.json'
    dataset = CheckedCocoDataset(
        data_root=str(root), ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'), metainfo=dict(classes=CLASSES), pipeline=[
            dict(type='LoadImage'),
            dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
            dict(type='mmdet.PackDetInputs')])
    coco = COCO(str(file))
    assert len(dataset) == 20
    for i, sample in enumerate(dataset):
        gt = sample['data_samples'].gt_instances
        truth = coco.imgToAnns[dataset.get_data_info(i)['img_id']]
        assert gt.labels.tolist() == [a['category_id'] - 1 for a in truth]
        assert gt.masks.masks.sum((1, 2)).tolist() == [a['area'] for a in truth]
        assert sample['inputs'].shape == (3, 64, 64)
    assert {a['category_id'] for a in coco.anns.values()} == {1, 2, 3}


def test_folder_in_use_is_refused_and_untouched(tmp_path):
    out = tmp_path / 'data'
    out.mkdir()
    (out / 'thesis.txt').write_text('years of work')
    for overwrite in (False, True):
        with pytest.raises(UserError, match='holds other files, such as thesis.txt'):
            small(out, overwrite=overwrite)
    assert content(out) == {'thesis.txt': b'years of work'}


def test_earlier_data_set_is_replaced_only_on_demand(tmp_path):
    out = small(tmp_path / 'data')
    before = content(out)
    with pytest.raises(UserError, match='give --overwrite'):
        small(out, seed=1)
    assert content(out) == before
    small(out, seed=1, overwrite=True)
    assert content(out) == content(small(tmp_path / 'other', seed=1)) != before


def test_empty_folder_is_filled(tmp_path):
    (tmp_path / 'data').mkdir()
    assert len(content(small(tmp_path / 'data'))) == 7


def test_interruption_leaves_what_was_there(tmp_path, monkeypatch):
    out = small(tmp_path / 'data')
    before = content(tmp_path)
    drawn = []

    def interrupted(size, rng):
        drawn.append(size)
        if len(drawn) == 4:
            raise KeyboardInterrupt
        return draw_image(size, rng)

    monkeypatch.setattr(shapes, 'draw_image', interrupted)
    with pytest.raises(KeyboardInterrupt):
        small(out, seed=1, overwrite=True)
    assert len(drawn) == 4
    assert content(tmp_path) == before and [path.name for path in tmp_path.iterdir()] == ['data']


@pytest.mark.parametrize('options', [dict(num_train=0), dict(num_val=-1), dict(size=63)])
def test_numbers_too_small(tmp_path, options):
    (name, value), = options.items()
    with pytest.raises(UserError, match=f'{name} is {value}, but must be at least'):
        small(tmp_path / 'data', **options)
    assert not list(tmp_path.iterdir())


def test_file_in_place_of_folder(tmp_path):
    (tmp_path / 'data').write_text('mine')
    with pytest.raises(UserError, match='is a file'):
        small(tmp_path / 'data', overwrite=True)
    assert (tmp_path / 'data').read_text() == 'mine'


def test_json_holds_rounded_numbers(tmp_path):
    root = small(tmp_path / 'data')
    loaded = json.loads((root / 'annotations' / 'instances_val.json').read_text())
    _, drawn = draw_image(64, random.Random('0 val 1'))
    listed = [a for a in loaded['annotations'] if a['image_id'] == 1]
    assert [a['segmentation'] for a in listed] == [a['segmentation'] for a in drawn]
    numbers = [v for a in loaded['annotations'] for polygon in a['segmentation'] for v in polygon]
    assert all(round(v, 2) == v for v in numbers)
