import json
import logging

import pytest
from mmdet.datasets import CocoDataset
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS

from eca_mm.utils.errors import UserError
from tests.support.samples import CLASSES, draw_coco


@pytest.fixture
def annotations(tmp_path):
    return draw_coco(tmp_path / 'data')


@pytest.fixture
def messages():
    """What is logged, from warnings on."""
    found = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: found.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


def build(path, **options):
    return DATASETS.build({
        'type': 'CheckedCocoDataset', 'ann_file': str(path), 'pipeline': [],
        'data_prefix': {'img': str(path.parent / 'images')}, 'metainfo': {'classes': CLASSES},
        **options})


def change(path, edit):
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_good_annotations_are_read_as_mmdet_does(annotations):
    expected = CocoDataset(
        ann_file=str(annotations), pipeline=[], metainfo={'classes': CLASSES},
        data_prefix={'img': str(annotations.parent / 'images')})
    found = build(annotations)
    assert [found[i] for i in range(4)] == [expected[i] for i in range(4)]
    assert len(found[0]['instances']) == 2


def test_images_are_chosen_by_their_ids(annotations):
    ids = [image['id'] for image in json.loads(annotations.read_text())['images']]
    chosen = [ids[2], ids[0]]
    found = build(annotations, image_ids=chosen)
    assert [found[i]['img_id'] for i in range(len(found))] == chosen
    with pytest.raises(UserError, match='no image for 1 of the 2 image_ids .999.'):
        build(annotations, image_ids=[ids[0], 999])


@pytest.mark.parametrize(('edit', 'named'), [
    (lambda c: [ann.update(category_id=77) for ann in c['annotations']],
     'nothing to train on: 8 annotations of categories that the file does not list'),
    (lambda c: c['categories'][1].update(name='red'), 'several categories of the same name'),
    (lambda c: c['categories'][0].update(name='Red'), "no category for .*red.*mean 'Red'"),
    (lambda c: c['annotations'][3].pop('bbox'), "without 'bbox' in 'annotations' .*4"),
    (lambda c: c['annotations'][3].update(bbox=[1, 2]), r'annotation 4 has the box \[1, 2\]'),
    (lambda c: c['images'][1].pop('file_name'), "without 'file_name' in 'images' .*2"),
    (lambda c: c.pop('images'), "no 'images'"),
    (lambda c: c['annotations'][3].update(id=1), 'annotation ids more than once: 1'),
    (lambda c: c['annotations'].clear(), 'nothing to train on'),
    (lambda c: c['categories'][0].update(name='x' * 2000), 'not a text of a class'),
    (lambda c: c['categories'][0].update(name='\ud800'), 'not a text of a class'),
    (lambda c: [image.update(file_name='x') for image in c['images']], 'None of .* images'),
])
def test_bad_annotations_are_refused_by_name(annotations, edit, named):
    change(annotations, edit)
    with pytest.raises(UserError, match=named) as caught:
        build(annotations)
    assert str(annotations) in str(caught.value)


@pytest.mark.parametrize(('content', 'reason'), [
    (lambda text: text[:len(text) // 2], 'truncated'),
    (lambda text: '', 'truncated'),
    (lambda text: '[1, 2]', 'not in COCO format'),
])
def test_a_file_without_annotations_is_refused(annotations, content, reason):
    annotations.write_text(content(annotations.read_text()))
    with pytest.raises(UserError, match=reason) as caught:
        build(annotations)
    assert str(annotations) in str(caught.value)


def test_a_missing_file_is_named(annotations):
    annotations.unlink()
    with pytest.raises(UserError, match=f'{annotations}: No such file'):
        build(annotations)


def test_a_test_set_needs_no_annotations(annotations):
    change(annotations, lambda content: content.pop('annotations'))
    assert len(build(annotations, test_mode=True)) == 4


def test_what_is_left_out_is_counted_in_one_line(annotations, messages):
    def edit(content):
        content['annotations'][0].update(bbox=[5, 5, 0.2, 9])
        content['annotations'][1].update(area=0)
        content['annotations'][2].update(bbox=[64, 5, 9, 9])
        content['annotations'][4].update(image_id=99)
        content['annotations'][6].update(category_id=77)
        del content['annotations'][7]['area']
        content['images'].append(content['images'][0])
        content['categories'].append({'id': 0, 'name': 'red'})
    change(annotations, edit)
    data = build(annotations)
    assert [len(data[i]['instances']) for i in range(len(data))] == [0, 1, 1, 1]
    message, = messages
    for part in ('1 boxes narrower or lower than 1 pixel (1)', '1 boxes of area 0 (2)',
                 '1 boxes outside their image (3)',
                 '1 annotations of images that the file does not list (5)',
                 '1 annotations of categories that the file does not list (7)',
                 "1 annotations without 'area' (taken from the box) (8)",
                 '1 images that the file lists twice (1)',
                 '1 categories without annotations that have the name of another one (0)'):
        assert part in message, part


def test_images_that_filter_cfg_leaves_out_are_counted(annotations, messages):
    def edit(content):
        content['images'][0].update(width=20, height=70)
        content['annotations'] = content['annotations'][:6]
    change(annotations, edit)
    options = {'filter_cfg': {'filter_empty_gt': True, 'min_size': 32}}
    assert len(build(annotations, **options)) == 2
    message, = messages
    assert '1 images with a side below 32 pixels (min_size of filter_cfg) (1)' in message
    assert '1 images without boxes (4)' in message
    with pytest.raises(UserError, match='None of the 4 images .* is left .*side below 99 pixels'):
        build(annotations, filter_cfg={'min_size': 99})


@pytest.mark.parametrize(('edit', 'reason'), [
    (lambda ann: ann.update(area=0), '8 boxes of area 0'),
    (lambda ann: ann.update(iscrowd=1), 'all 8 boxes are crowds'),
])
def test_why_nothing_is_left_to_train_on(annotations, edit, reason):
    change(annotations, lambda content: [edit(ann) for ann in content['annotations']])
    with pytest.raises(UserError, match=f'nothing to train on: {reason}'):
        build(annotations)


def test_labels_are_numbered_by_the_names_of_the_config(annotations, messages):
    names = {box['id']: CLASSES[box['category_id'] - 1]
             for box in json.loads(annotations.read_text())['annotations']}
    for order in (CLASSES, CLASSES[::-1], ('green', 'blue', 'red')):
        data = build(annotations, metainfo={'classes': order})
        assert data.metainfo['classes'] == order
        found = [order[box['bbox_label']] for item in data for box in item['instances']]
        assert found == list(names.values())
    assert not messages


@pytest.mark.parametrize(('classes', 'problem'), [
    ('red', r"classes=\('red', \) with a comma"), (('red', 'green', 'red'), 'more than once'),
    # A set is in another order in each process.
    ({'red', 'green', 'blue'}, 'is a set; labels are numbered by the order'),
    (dict(red=0, green=1, blue=2), 'is a dict'), ((), 'names no class'), (None, 'is None'),
    ([['red', 'green', 'blue']], 'which is not a text'), ((0, 1, 2), 'the entry 0, which')])
def test_names_that_are_not_a_list_of_names(annotations, classes, problem):
    with pytest.raises(UserError, match=problem):
        build(annotations, metainfo={'classes': classes})


def corners(content):
    for ann in content['annotations']:
        x, y, width, height = ann['bbox']
        ann['bbox'] = [x, y, x + width, y + height]


def fractions(content):
    for ann in content['annotations']:
        ann['bbox'] = [side / 64 for side in ann['bbox']]


@pytest.mark.parametrize(('edit', 'problem'), [
    (corners, 'fit as corners x1, y1, x2, y2'), (fractions, 'boxes from 0 to 1')])
@pytest.mark.parametrize('test_mode', [False, True])
def test_boxes_in_another_format_are_recognised(annotations, edit, problem, test_mode):
    change(annotations, edit)
    with pytest.raises(UserError, match=problem):
        build(annotations, test_mode=test_mode)


def test_ids_may_be_texts_or_whole_floats(annotations):
    expected = [item['instances'] for item in build(annotations)]

    def edit(content):
        for image in content['images']:
            image['id'] = f'frame {image["id"]}'
        for ann in content['annotations']:
            ann.update(image_id=f'frame {ann["image_id"]}', category_id=float(ann['category_id']),
                       id=f'{ann["id"]:x}')
    change(annotations, edit)
    data = build(annotations)
    assert [item['instances'] for item in data] == expected
    assert data[0]['img_id'] == 'frame 1'


@pytest.mark.parametrize('mask', [
    None, {}, '', [], [[]], [[1, 1, 2, 2]], [1, 1, 9, 1, 9, 9], [[1, 1, 9, 1, 9, 9], [1, 2, 3]]])
def test_masks_that_a_model_without_masks_does_not_need(annotations, mask):
    change(annotations, lambda content: content['annotations'][1].update(segmentation=mask))
    assert [len(item['instances']) for item in build(annotations)] == [2] * 4


def test_linked_images_and_absolute_names_are_an_option(annotations, tmp_path, monkeypatch):
    cache = tmp_path / 'cache'
    cache.mkdir()
    image = annotations.parent / 'images/002.jpg'
    image.rename(cache / 'blob')
    image.symlink_to(cache / 'blob')
    change(annotations, lambda content: content['images'][2].update(
        file_name=str(annotations.parent / 'images/003.jpg')))
    # Told when the data set is built; an absolute name in the root is fine.
    with pytest.raises(UserError, match=r'002.jpg is a link .* allow_outside=True'):
        build(annotations)
    data = build(annotations, allow_outside=True)
    assert [item['img_id'] for item in data] == [1, 2, 3, 4]
    change(annotations, lambda content: content['images'][1].update(file_name=str(cache / 'blob')))
    with pytest.raises(UserError, match=r'blob.*leads out of the data root.*allow_outside=True'):
        build(annotations)
    assert len(build(annotations, allow_outside=True)) == 4
    # Without any root it does not matter where one is.
    change(annotations, lambda content: [image.update(
        file_name=str(annotations.parent / 'images/001.jpg')) for image in content['images']])
    for folder in (tmp_path, annotations.parent):
        monkeypatch.chdir(folder)
        with pytest.raises(UserError, match='leads out of the data root'):
            build(annotations, data_prefix={'img': ''})
    assert len(build(annotations, data_prefix={'img': ''}, allow_outside=True)) == 4


def test_a_relative_root_stays_where_it_was(annotations, tmp_path, monkeypatch):
    monkeypatch.chdir(annotations.parent)
    data = build(annotations, data_prefix={'img': 'images/'},
                 pipeline=[lambda results: results['img_path']])
    assert data[0] == 'images/001.jpg'
    data._roots.check_links(str(annotations.parent / 'images/001.jpg'))
    monkeypatch.chdir(tmp_path)
    data._roots.check_links(str(annotations.parent / 'images/001.jpg'))


def test_missing_images_are_named_at_the_start(annotations, messages):
    (annotations.parent / 'images/003.jpg').unlink()
    build(annotations)
    message, = messages
    assert '1 of 4 images' in message and '003.jpg' in message


def test_a_selection_of_the_classes_is_fine(annotations, messages):
    data = build(annotations, metainfo={'classes': ('red', 'blue')})
    assert {box['bbox_label'] for item in data for box in item['instances']} <= {0, 1}
    assert not messages


def test_real_coco_annotations_pass(coco_root, messages):
    data = DATASETS.build({
        'type': 'CheckedCocoDataset', 'data_root': str(coco_root), 'pipeline': [],
        'ann_file': 'annotations/instances_val2017.json', 'data_prefix': {'img': 'val2017/'}})
    assert len(data) > 0
    assert not [message for message in messages if 'boxes of area' in message]
