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
    (lambda c: c['annotations'][0].update(category_id=77), 'category ids .* 77'),
    (lambda c: c['categories'][0].update(name='Red'), "no category for .*red.*mean 'Red'"),
    (lambda c: c['annotations'][3].pop('bbox'), "without 'bbox' in 'annotations' .*4"),
    (lambda c: c['annotations'][3].update(bbox=[1, 2]), r'annotation 4 has the box \[1, 2\]'),
    (lambda c: c['images'][1].pop('file_name'), "without 'file_name' in 'images' .*2"),
    (lambda c: c.pop('images'), "no 'images'"),
    (lambda c: c['annotations'][3].update(id=1), 'annotation ids more than once: 1'),
    (lambda c: c['annotations'].clear(), 'nothing to train on'),
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
def test_a_file_that_is_no_annotation_is_refused(annotations, content, reason):
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


def test_boxes_that_cannot_be_learnt_are_left_out_and_named_once(annotations, messages):
    def edit(content):
        content['annotations'][0].update(bbox=[5, 5, 0.2, 9])
        content['annotations'][1].update(area=0)
        content['annotations'][2].update(bbox=[64, 5, 9, 9])
        content['annotations'][4].update(image_id=99)
    change(annotations, edit)
    data = build(annotations)
    assert [len(data[i]['instances']) for i in range(len(data))] == [0, 1, 1, 2]
    assert len(messages) == 3
    for part in ('2 of 7 boxes are degenerate and are left out (annotations 1, 2)',
                 '1 of 7 boxes lie outside their image and are left out (annotations 3)',
                 '1 annotations belong to images that the file does not list'):
        assert any(part in message for message in messages), part


def test_classes_in_another_order_than_the_file_are_reported(annotations, messages):
    build(annotations, metainfo={'classes': CLASSES[::-1]})
    assert len(messages) == 1
    assert 'labels are numbered as in the file: red, green, blue' in messages[0]


def test_a_selection_of_the_classes_is_fine(annotations, messages):
    data = build(annotations, metainfo={'classes': ('red', 'blue')})
    assert {box['bbox_label'] for item in data for box in item['instances']} <= {0, 1}
    assert not messages


def test_real_coco_annotations_pass(coco_root, messages):
    data = DATASETS.build({
        'type': 'CheckedCocoDataset', 'data_root': str(coco_root), 'pipeline': [],
        'ann_file': 'annotations/instances_val2017.json', 'data_prefix': {'img': 'val2017/'}})
    assert len(data) > 0
    assert not [message for message in messages if 'another order' in message]
