"""VOC's annotation files that are broken, or whose boxes are in another format."""
import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS, DefaultScope

from eca_mm.compat.voc_files import describe, take_out_bad_boxes
from eca_mm.utils.errors import UserError

SIZE = '<size><width>100</width><height>80</height></size>'


def entry(corners=(11, 11, 60, 70), name='cat', more=''):
    sides = ''.join(f'<{side}>{value}</{side}>' for side, value in zip(
        ('xmin', 'ymin', 'xmax', 'ymax'), corners, strict=True))
    return f'<object><name>{name}</name>{more}<bndbox>{sides}</bndbox></object>'


@pytest.fixture
def build(tmp_path):
    """Data of two images with what is given as content of their annotations."""
    def make(*contents, size=SIZE, **options):
        for number, content in enumerate(contents):
            (tmp_path / 'Annotations').mkdir(exist_ok=True)
            (tmp_path / 'JPEGImages').mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / f'JPEGImages/{number}.jpg'), np.zeros((80, 100, 3), 'uint8'))
            (tmp_path / f'Annotations/{number}.xml').write_text(
                content[1:] if content.startswith('!') else
                f'<annotation>{size}{content}</annotation>')
        (tmp_path / 'train.txt').write_text('\n'.join(map(str, range(len(contents)))))
        with DefaultScope.overwrite_default_scope('mmdet'):
            return DATASETS.build(dict(
                type='XMLDataset', data_root=str(tmp_path), ann_file='train.txt', pipeline=[],
                data_prefix=dict(sub_data_root=''),
                metainfo=dict(classes=('cat', )), **options))
    return make


@pytest.mark.parametrize(('content', 'problem'), [
    ('!<annotation><size>', r'it is not XML \(no element'),
    ('<object><name>cat</name></object>', r'bndbox of object 1 \(cat\) has no xmin'),
    (entry() + '<object><bndbox/></object>', 'object 2 has no name'),
    (entry(('1,5', 1, 9, 9)), r"has '1,5' as xmin"), (entry(('nan', 1, 9, 9)), "'nan' as xmin"),
    (entry(('inf', 1, 9, 9)), "'inf' as xmin"),
    (entry(more='<difficult></difficult>'), "object 1 .cat. has '' as difficult")])
def test_a_file_that_cannot_be_used_is_named(build, content, problem):
    with pytest.raises(UserError, match=f'Annotations/1.xml cannot .*{problem}.*take 1 out'):
        build(entry(), content)


def test_a_size_that_is_not_a_number(build):
    with pytest.raises(UserError, match="size has '100.5' as width"):
        build(entry(), size=SIZE.replace('>100<', '>100.5<'))


@pytest.mark.parametrize('test_mode', [False, True])
@pytest.mark.parametrize(('corners', 'problem'), [
    ((0.1, 0.1, 0.6, 0.7), 'boxes from 0 to 1 only'), ((0, 0, 1, 1), 'boxes from 0 to 1 only'),
    # x, y, width, height; and the two corners in the other order.
    ((50, 40, 30, 20), 'without width or height.*ymax = ymin . height'),
    ((60, 70, 11, 11), 'without width or height'),
    ((200, 200, 300, 300), 'that leave their images'), ((50, 50, 150, 75), 'that leave')])
def test_boxes_in_another_format(build, corners, problem, test_mode):
    with pytest.raises(UserError, match=problem):
        build(entry(corners), entry(corners), test_mode=test_mode)


def test_single_boxes_that_cannot_be_used(build):
    good, flat, outside = entry(), entry((11, 11, 11, 50)), entry((200, 10, 210, 20))
    data = build(good * 3 + flat, good * 2 + outside)
    assert [len(item['instances']) for item in data] == [3, 2]
    # Evaluation goes by the annotations as they are.
    tested = build(good * 3 + flat, good * 2 + outside, test_mode=True)
    assert [len(item['instances']) for item in tested] == [4, 3]


def test_what_is_left_out_is_counted(build):
    data = build(entry() * 3, entry() * 3)
    data.data_list = [data.get_data_info(index) for index in range(2)]
    data.data_list[1]['instances'][0] = dict(bbox=[4, 4, 4, 9], bbox_label=0, ignore_flag=0)
    assert describe(take_out_bad_boxes(data)) == ['1 boxes without width or height (1)']


def test_boxes_that_touch_the_border(build):
    assert len(build(entry((1, 1, 100, 80)), entry((1, 1, 101, 81)))) == 2
