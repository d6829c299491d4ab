"""Data and settings as people have them: what check_config says of a whole project."""
import copy
import json
import shutil

import cv2
import numpy as np
import pytest
from mmengine.registry import DefaultScope

from eca_mm.config_check import building, classes, files, runtime
from eca_mm.config_check.context import ConfigContext
from tests.support.config_checks import changed, run
from tests.support.samples import CLASSES, draw_classes, draw_coco, give_masks

SPLITS = ('train', 'val', 'test')


@pytest.fixture
def project(detector, tmp_path):
    """Change the annotations of a sound project: returns its folder and a function for that."""
    folder = tmp_path / 'coco'
    path = draw_coco(folder)
    give_masks(path)

    def make(edit=lambda content: None, names=CLASSES, **changes):
        content = json.loads(path.read_text())
        edit(content)
        path.write_text(json.dumps(content))
        return moved(changed(detector, changes), folder, names)
    return folder, make


def moved(config, folder, names):
    config = copy.deepcopy(config)
    for split in SPLITS:
        config[f'{split}_dataloader'].dataset.update(
            data_root=str(folder), metainfo=dict(classes=names))
        if split != 'train':
            config[f'{split}_evaluator'].ann_file = str(folder / 'annotations.json')
    return config


def of_data(config):
    """What is found about the data and the classes."""
    context = ConfigContext(config, None)
    with DefaultScope.overwrite_default_scope(context.scope):
        # Without the model, which takes the most time.
        return [*files.check(context), *classes.check(context), *building._data(context, None)]


def some_areas_zero(content):
    for ann in content['annotations'][::2]:
        ann['area'] = 0


def no_areas(content):
    for ann in content['annotations']:
        del ann['area']


def half_too_small(content):
    too_small(content, content['images'][::2])


def too_small(content, images=None):
    for image in images or content['images']:
        image.update(width=28, height=28)
    for ann in content['annotations']:
        ann.update(bbox=[2, 2, 20, 20], segmentation=[[2, 2, 22, 2, 22, 22, 2, 22]])


def images_without_boxes(content):
    content['annotations'] = content['annotations'][:1]


def float_ids(content):
    for ann in content['annotations']:
        ann.update(image_id=float(ann['image_id']), category_id=float(ann['category_id']))


def ids_from_zero(content):
    for ann in content['annotations']:
        ann['category_id'] -= 1
    for category in content['categories']:
        category['id'] -= 1


def project_name_as_category(content):
    content['categories'].insert(0, dict(id=0, name='objects', supercategory='none'))


@pytest.mark.parametrize('edit', [
    some_areas_zero, no_areas, half_too_small, images_without_boxes, float_ids, ids_from_zero,
    project_name_as_category])
def test_what_is_odd_but_sound(project, edit):
    assert of_data(project[1](edit)) == []


def empty_masks(content):
    for ann in content['annotations']:
        ann['segmentation'] = [[]]


@pytest.mark.parametrize(('edit', 'message'), [
    (lambda content: [ann.update(area=0) for ann in content['annotations']], '8 boxes of area 0'),
    (lambda content: [ann.update(iscrowd=1) for ann in content['annotations']],
     'all 8 boxes are crowds'),
    (too_small, 'is left to train on: 4 images with a side below 32 pixels'),
    (empty_masks, 'no masks that can be used'),
])
def test_what_leaves_nothing_to_train_on(project, edit, message):
    found = [f for f in of_data(project[1](edit)) if f.where.startswith('train_dataloader')]
    assert [f.level for f in found] == ['error'] and message in found[0].message


def test_names_as_windows_writes_them(project):
    folder, make = project
    (folder / 'images').rename(folder / 'left')
    (folder / 'images').mkdir()
    shutil.move(folder / 'left', folder / 'images/left')

    def edit(content):
        for image in content['images']:
            image['file_name'] = f'left\\{image["file_name"]}'
    found = run(files, make(edit))
    assert {f.where for f in found} == {
        f'{split}_dataloader.dataset.data_prefix.img' for split in ('train', 'val')}
    assert all(f.expected.startswith('write / in place of the backslashes') for f in found)


def test_names_in_any_script(detector, tmp_path):
    names = ('圆形', 'квадрат', 'δέλτα')
    folder = tmp_path / '数据 папка'
    path = draw_coco(folder)
    give_masks(path)
    content = json.loads(path.read_text())
    for category, name in zip(content['categories'], names, strict=True):
        category['name'] = name
    path.write_text(json.dumps(content, ensure_ascii=False), encoding='utf-8')
    assert of_data(moved(detector, folder, names)) == []


@pytest.mark.parametrize(('channels', 'colours'), [(1, 'grayscale'), (4, 'unchanged')])
def test_images_of_other_channels(project, channels, colours):
    folder, make = project
    for path in (folder / 'images').iterdir():
        image = cv2.imread(str(path))
        cv2.imwrite(str(path.with_suffix('.png')), np.dstack(
            [image, np.full(image.shape[:2], 200, np.uint8)]))

    def edit(content):
        for image in content['images']:
            image['file_name'] = image['file_name'].replace('.jpg', '.png')
    config = make(edit)
    config.model.backbone.update(in_channels=channels, init_cfg=None, frozen_stages=-1,
                                 norm_eval=False)
    config.model.data_preprocessor.update(mean=[100.] * channels, std=[50.] * channels,
                                          bgr_to_rgb=False)
    for split in SPLITS:
        for step in config[f'{split}_dataloader'].dataset.pipeline:
            if step.type.startswith('LoadImage'):
                step.color_type = colours
    found = [(f.level, f.check, f.where) for f in run(building, config) if f.level == 'error']
    # mmdet's preprocessor has means for one channel or three.
    assert found == ([] if channels == 1 else [('error', 'keys', 'model')])
    if channels == 4:
        config.model.data_preprocessor.update(mean=None, std=None)
        assert run(building, config) == []


def joined(data):
    return dict(type='ConcatDataset', datasets=[data, copy.deepcopy(data)])


def repeated(data):
    return dict(type='RepeatDataset', times=2, dataset=data)


def balanced(data):
    return dict(type='ClassBalancedDataset', oversample_thr=0.5, dataset=data)


def mixed(data):
    # Mosaic leaves masks as they are.
    steps = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True)]
    return dict(type='MultiImageMixDataset', dataset={**data, 'pipeline': steps}, pipeline=[
        dict(type='Mosaic', img_scale=(64, 64)), dict(type='PackDetInputs')])


@pytest.mark.parametrize('wrap', [joined, repeated, balanced, mixed])
def test_data_sets_in_data_sets(detector, wrap):
    config = copy.deepcopy(detector)
    config.train_dataloader.dataset = wrap(config.train_dataloader.dataset)
    assert of_data(config) == []
    config.model.roi_head.bbox_head.num_classes = 1
    found, = run(classes, config)
    assert (found.level, found.where) == ('error', 'model.roi_head.bbox_head.num_classes')


def test_folders_that_are_numbers(classifier, tmp_path):
    draw_classes(tmp_path / 'classes', images=1)
    for name, number in zip(CLASSES, ('1', '2', '10'), strict=True):
        (tmp_path / 'classes' / name).rename(tmp_path / 'classes' / number)
    config = copy.deepcopy(classifier)
    for split in SPLITS:
        config[f'{split}_dataloader'].dataset.data_root = str(tmp_path / 'classes')
    assert of_data(config) == []


@pytest.mark.parametrize('names', [('StopOnInvalidLoss', 'KeepWorkDirHook'),
                                   ('StopOnInvalidLossHook', 'eca_mm.KeepWorkDirHook')])
def test_hooks_by_former_names(detector, names):
    hooks = [*(dict(type=name) for name in names), dict(type='EMAHook')]
    assert run(runtime, changed(detector, {'custom_hooks': hooks})) == []
    found = run(runtime, changed(detector, {'custom_hooks': hooks[1:]}))
    assert ['StopOnInvalidLossHook' in f.message for f in found] == [True]
