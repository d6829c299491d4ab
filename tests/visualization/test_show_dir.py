"""A test keeps the picture of every image."""
import types

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.dist import utils
from mmengine.structures import InstanceData
from mmpretrain.structures import DataSample

from eca_mm.utils.errors import UserError
from eca_mm.visualization.drawing import Drawer, picture_name, write_picture
from eca_mm.visualization.show_dir import SavePicturesHook, picture_names


@pytest.mark.parametrize('roots, names', [
    ({'/d/val/a/1.jpg': '/d/val/', '/d/val/b/1.jpg': '/d/val/'}, ['a/1.jpg', 'b/1.jpg']),
    # Two data sets with equal names, and an image outside its root.
    ({'/d/x/1.jpg': '/d/x', '/d/y/1.jpg': '/d/y'}, ['x/1.jpg', 'y/1.jpg']),
    ({'/d/x/1.jpg': '/d/x', '/e/2.jpg': '/d/x'}, ['d/x/1.jpg', 'e/2.jpg']),
    ({'s3://bucket/x/1.gif': 's3://bucket/'}, ['x/1.gif.png']),
    ({'/d/1.JPG': '/d', '/d/1.jpg': '/d', '/d/1.png': '/d'}, ['1.JPG', '1.jpg', '1.png']),
    ({'/d/1.gif': '/d', '/d/1.gif.png': '/d', '/d/1.gif_2.png': '/d'},
     ['1.gif.png', '1.gif_2.png', '1.gif_2_2.png']),
    ({}, []),
])
def test_names_are_paths_below_the_root_and_differ(roots, names):
    assert list(picture_names(roots).values()) == names


class Images:
    metainfo = dict(classes=('cat', 'dog'))

    def __init__(self, root):
        self.data_root, self.paths = str(root), []
        for name in ('a/1.png', 'b/1.png', 'b/2.gif'):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path.with_suffix('.png')), np.full((40, 60, 3), 90, np.uint8))
            path.with_suffix('.png').rename(path)
            self.paths.append(str(path))

    def __len__(self):
        return len(self.paths)

    def get_data_info(self, index):
        return dict(img_path=self.paths[index])


def runner_of(dataset, scope):
    return types.SimpleNamespace(
        test_dataloader=types.SimpleNamespace(dataset=dataset), rank=0, logger=None,
        cfg=dict(default_scope=scope))


def detections(path):
    boxes = InstanceData(bboxes=torch.tensor([[5., 5., 30., 30.]]), scores=torch.tensor([.9]),
                         labels=torch.tensor([1]))
    sample = DetDataSample(metainfo=dict(img_path=path, ori_shape=(40, 60)))
    sample.pred_instances, sample.gt_instances = boxes, boxes.clone()
    return sample


@pytest.mark.parametrize('rank', [0, 1])
def test_detections_of_every_process_are_drawn(tmp_path, monkeypatch, capsys, rank):
    """mmengine's visualizers draw in the first process only."""
    monkeypatch.setattr(utils, 'get_rank', lambda group=None: rank)
    data = Images(tmp_path / 'data')
    runner = runner_of(data, 'mmdet')
    hook = SavePicturesHook(str(tmp_path / 'out'))
    hook.before_test(runner)
    hook.after_test_iter(runner, 0, {}, [detections(path) for path in data.paths])
    hook.after_test(runner)
    written = sorted(path.relative_to(tmp_path / 'out').as_posix()
                     for path in (tmp_path / 'out').rglob('*.*'))
    assert written == ['a/1.png', 'b/1.png', 'b/2.gif.png']
    # Said once.
    assert ('Pictures: 3 in ' in capsys.readouterr().out) == (rank == 0)
    picture = cv2.imread(str(tmp_path / 'out/a/1.png'))
    # The ground truth left, the prediction right; both drawn.
    assert picture.shape == (40, 120, 3)
    assert (picture[:, :60] != 90).any() and (picture[:, 60:] != 90).any()


def test_classifications_are_drawn_with_and_without_files(tmp_path, capsys):
    data = Images(tmp_path / 'data')
    runner = runner_of(data, 'mmpretrain')
    hook = SavePicturesHook(str(tmp_path / 'out'))
    hook.before_test(runner)
    samples = [DataSample(metainfo=dict(img_path=data.paths[0], ori_shape=(40, 60))),
               DataSample(metainfo=dict(sample_idx=7))]
    for sample in samples:
        sample.set_pred_score(torch.tensor([.2, .8])).set_pred_label(1).set_gt_label(0)
    batch = dict(inputs=[torch.zeros(3, 40, 60), torch.full((1, 30, 30), 50.)])
    hook.after_test_iter(runner, 0, batch, samples)
    hook.after_test(runner)
    assert (tmp_path / 'out/a/1.png').exists() and (tmp_path / 'out/000007.png').exists()
    assert 'Pictures: 2' in capsys.readouterr().out


def test_images_that_the_data_set_does_not_list(tmp_path):
    data = Images(tmp_path / 'data')
    before = (tmp_path / 'data/a/1.png').read_bytes()
    hook = SavePicturesHook(str(tmp_path / 'out'))
    hook.before_test(runner_of([], 'mmpretrain'))
    # No size packed either.
    sample = DataSample(metainfo=dict(img_path=data.paths[0]))
    hook.after_test_iter(runner_of([], 'mmpretrain'), 0, {}, [
        sample.set_pred_score(torch.tensor([.2, .8])).set_pred_label(1)])
    assert (tmp_path / 'data/a/1.png').read_bytes() == before
    name, = hook.written
    assert (tmp_path / 'out' / name).is_file() and name.endswith('data/a/1.png')


def test_pictures_do_not_replace_images(tmp_path):
    data = Images(tmp_path / 'data')
    hook = SavePicturesHook(str(tmp_path / 'data'))
    with pytest.raises(UserError, match='is the file to read'):
        hook.before_test(runner_of(data, 'mmdet'))


def test_names_and_labels_of_drawings(tmp_path):
    assert picture_name('a.TIF') == 'a.TIF' and picture_name('a.ppm') == 'a.ppm.png'
    drawn = Drawer(True, None).draw(np.zeros((40, 60, 3), np.uint8), detections('x'), truth=False)
    assert drawn.shape == (40, 60, 3) and drawn.any()
    write_picture(drawn, tmp_path / 'x/a.JPEG')
    assert cv2.imread(str(tmp_path / 'x/a.JPEG')).shape == (40, 60, 3)


@pytest.mark.parametrize(('classes', 'palette'), [
    (['cat'], [(1, 2, 3)]), (['cat', 'dog', 'fox'], [(1, 2, 3)]), (['cat', 'dog'], []),
    (['cat', 'dog'], 'random'), (None, None), (['cat', 'dog'], [(1, 2, 3), (4, 5, 6)])])
def test_fewer_names_or_colours_than_labels(classes, palette):
    drawer = Drawer(True, classes, palette)
    for _ in range(2):
        assert drawer.draw(np.zeros((40, 60, 3), np.uint8), detections('x'), truth=False).any()
    assert classes is None or drawer.classes[:len(classes)] == classes
    assert drawer.classes is None or len(drawer.classes) == max(2, len(classes))
