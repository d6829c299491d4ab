"""Stock data sets: folders by name, and reasons for what is left out."""
import logging
import shutil

import pytest
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, DefaultScope

from eca_mm.utils.errors import UserError
from tests.support.samples import CLASSES, draw_classes, draw_coco


@pytest.fixture
def messages():
    """What is logged."""
    found = []
    handler = logging.Handler(logging.INFO)
    handler.emit = lambda record: found.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


def folders(root, **options):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        data = DATASETS.build(dict(type='CustomDataset', data_root=str(root), pipeline=[],
                                   **options))
    names = data.metainfo['classes']
    # Labels and folders must agree, whatever the order.
    for item in data:
        assert names[item['gt_label']] == item['img_path'].split('/')[-2]
    return data


@pytest.fixture
def root(tmp_path):
    draw_classes(tmp_path / 'classes', images=1)
    return tmp_path / 'classes'


def test_folders_in_the_order_of_the_config(root):
    assert folders(root).metainfo['classes'] == ('blue', 'green', 'red')
    for order in (CLASSES, CLASSES[::-1]):
        assert len(folders(root, metainfo=dict(classes=order))) == 3


@pytest.mark.parametrize('name', ['.ipynb_checkpoints', '__MACOSX'])
def test_hidden_folders_are_left_out_and_named(root, messages, name):
    shutil.copytree(root / 'red', root / name)
    assert folders(root).metainfo['classes'] == ('blue', 'green', 'red')
    assert any(name in message for message in messages)


def test_a_class_without_folder_keeps_the_others_labels(root, messages):
    shutil.rmtree(root / 'green')
    assert len(folders(root, metainfo=dict(classes=CLASSES))) == 2
    assert any('no folder for 1 of 3 classes: green' in message for message in messages)


def test_a_folder_that_is_not_a_class(root):
    with pytest.raises(UserError, match=r'folders are blue, green, red, the classes red, green;'):
        folders(root, metainfo=dict(classes=('red', 'green')))
    with pytest.raises(UserError, match=r'3 folders of classes .* names 2 classes'):
        folders(root, metainfo=dict(classes=('a', 'b')))


def test_names_of_ones_own_follow_the_folders(root):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        data = DATASETS.build(dict(type='CustomDataset', data_root=str(root), pipeline=[],
                                   metainfo=dict(classes=('navy', 'lime', 'ruby'))))
    assert [item['gt_label'] for item in data] == [0, 1, 2]


def test_labels_of_a_file(root):
    def labelled(lines, **options):
        (root / 'labels.txt').write_text(lines)
        return folders(root, ann_file='labels.txt', **options)

    names = dict(metainfo=dict(classes=('blue', 'red')))
    assert len(labelled('blue/0.jpg 0\nred/0.jpg 1\n', **names)) == 2
    for lines, options, problem in (
            ('a.jpg 0\nb.jpg 2\n', names, 'b.jpg the label 2, .* to 1 for 2 classes'),
            ('a.jpg -1\n', names, 'the label -1'), ('a.jpg\n', names, 'a path and a label'),
            ('a.jpg red\n', names, 'a path and a label')):
        with pytest.raises(UserError, match=problem):
            labelled(lines, **options)


def test_one_text_is_not_a_list_of_classes(root, voc):
    for build in (lambda: folders(root, metainfo=dict(classes='red')), lambda: boxes(voc, 'red')):
        with pytest.raises(UserError, match=r"the text 'red'.* with a comma"):
            build()


@pytest.fixture
def voc(tmp_path):
    """Four images in VOC's format with objects of red and green."""
    draw_coco(tmp_path / 'coco')
    for name in ('JPEGImages', 'Annotations'):
        (tmp_path / name).mkdir()
    for number, name in enumerate(('red', 'green', 'red', None), 1):
        shutil.copy(tmp_path / f'coco/images/00{number}.jpg', tmp_path / 'JPEGImages')
        box = (f'<object><name>{name}</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>20</xmax>'
               '<ymax>20</ymax></bndbox></object>') if name else ''
        (tmp_path / f'Annotations/00{number}.xml').write_text(
            f'<annotation><size><width>64</width><height>64</height></size>{box}</annotation>')
    (tmp_path / 'train.txt').write_text('001\n002\n003\n004\n')
    return tmp_path


def boxes(root, classes, **options):
    with DefaultScope.overwrite_default_scope('mmdet'):
        return DATASETS.build(dict(
            type='XMLDataset', data_root=str(root), ann_file='train.txt', pipeline=[],
            data_prefix=dict(sub_data_root=''), metainfo=dict(classes=classes), **options))


def test_images_that_are_left_out_are_counted(voc, messages):
    options = dict(filter_cfg=dict(filter_empty_gt=True))
    assert len(boxes(voc, ('red', 'green'), **options)) == 3
    assert any('4 images: left out are 1 images without boxes (004)' in m for m in messages)


@pytest.mark.parametrize('options', [
    {}, dict(test_mode=True), dict(filter_cfg=dict(filter_empty_gt=True))])
@pytest.mark.parametrize(('classes', 'problem'), [
    (('Red', 'green'), "no box of the class 'Red'.*write 'red'"),
    (('red', 'gren'), "no box of the class 'gren'.*write 'green'"),
    (('cat', 'dog'), "no box of the class 'cat'; its annotations name 'green', 'red'")])
def test_names_that_voc_files_do_not_use(voc, options, classes, problem):
    with pytest.raises(UserError, match=problem):
        boxes(voc, classes, **options)


def test_a_rare_class_is_only_reported(voc, messages):
    assert len(boxes(voc, ('red', 'green', 'elephant'))) == 4
    assert any('no box of 1 of 3 classes: elephant' in message for message in messages)


def test_why_no_image_is_left(voc):
    with pytest.raises(UserError, match='None of the 4 images .* below 100 pixels'):
        boxes(voc, ('red', 'green'), filter_cfg=dict(min_size=100))
    with pytest.raises(UserError, match='has no sample'):
        boxes(voc, ('red', 'green'), indices=[])
    (voc / 'train.txt').write_text('')
    with pytest.raises(UserError, match='lists no image'):
        boxes(voc, ('red', 'green'))


@pytest.mark.parametrize('names', [
    ('Red', 'Green', 'Blue'), ('RED', 'lime', 'navy'), ('red ', 'Green', 'blue_')])
def test_names_in_another_spelling_than_the_folders(root, names):
    with pytest.raises(UserError, match="its folder .* is 'red'.*names as the folders are"):
        folders(root, metainfo=dict(classes=names))


def test_files_of_folders_that_are_left_out_are_counted(root, messages):
    for name in ('red/1.webp', 'red/2.webp', 'green/notes.txt', 'green/.DS_Store', 'red/Thumbs.db'):
        (root / name).write_text('')
    for names in ({}, dict(metainfo=dict(classes=CLASSES))):
        messages.clear()
        assert len(folders(root, **names)) == 3
        assert any('3 files' in message and '2 .webp, 1 .txt' in message for message in messages)
    messages.clear()
    assert len(folders(root, extensions=('.png', '.webp', '.txt'))) == 6
    assert not any('left out' in message for message in messages)


def test_folders_without_images(root):
    for picture in root.rglob('*.png'):
        picture.rename(picture.with_suffix('.gif'))
    for names in ({}, dict(metainfo=dict(classes=CLASSES))):
        with pytest.raises(UserError, match='no image in its folders; .*and there are 3 .gif'):
            folders(root, **names)


@pytest.mark.parametrize(('lines', 'message'), [
    ('red/0.png 0\nred/0.png 1\n', 'gives 1 images different labels'),
    ('red/0.png 1\nblue/0.png 2\n', 'no label 0, but labels from 1 to 2'),
    ('"red/0.png" 0\nred/0.png  0\n', 'None of 2 probed images'),
    ('\ufeffred/0.png 0\nblue/0.png 1\n', ''), ('red/0.png 0\nred/0.png 0\n', '')])
def test_lines_that_may_be_meant_otherwise(root, messages, lines, message):
    (root / 'labels.txt').write_text(lines, encoding='utf-8')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        data = DATASETS.build(dict(type='CustomDataset', data_root=str(root), pipeline=[],
                                   ann_file='labels.txt', metainfo=dict(classes=CLASSES)))
    assert len(data) == 2 and '\ufeff' not in data.get_data_info(0)['img_path']
    about = [text for text in messages if 'labels.txt' in text]
    assert len(about) == bool(message) and all(message in text for text in about)


def test_names_of_folders_that_come_twice(root):
    with pytest.raises(UserError, match='names the classes red more than once'):
        folders(root, metainfo=dict(classes=('red', 'green', 'blue', 'red')))
