"""CIFAR-10 from class folders and from torchvision's pickles."""
import hashlib
import pickle

import cv2
import numpy as np
import pytest
import torchvision
from mmengine.registry import DATASETS

from eca_mm.datasets import CheckedCIFAR10
from eca_mm.utils.errors import UserError

CLASSES = CheckedCIFAR10.METAINFO['classes']


def picture(number):
    """A plain picture whose colour tells its number; the channels differ."""
    return np.full((32, 32, 3), (10 * number, 255 - 10 * number, 128), np.uint8)


@pytest.fixture
def folders(tmp_path):
    for split in ('train', 'test'):
        for number, name in enumerate(CLASSES):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for i in range(2):
                cv2.imwrite(str(folder / f'{i:04}.png'), picture(number)[..., ::-1])
    return tmp_path


@pytest.fixture
def pickles(tmp_path, monkeypatch):
    """One batch each for training and testing, written as CIFAR's authors did."""
    base = tmp_path / CheckedCIFAR10.base_folder
    base.mkdir()
    rows = np.stack([picture(number).transpose(2, 0, 1).reshape(-1) for number in range(10)])
    content = {'data_batch_1': dict(data=rows, labels=list(range(10))),
               'test_batch': dict(data=rows, labels=list(range(10))),
               'batches.meta': dict(label_names=CLASSES)}
    sums = {}
    for name, value in content.items():
        (base / name).write_bytes(pickle.dumps(value))
        sums[name] = hashlib.md5((base / name).read_bytes()).hexdigest()
    for cls in (CheckedCIFAR10, torchvision.datasets.CIFAR10):
        monkeypatch.setattr(cls, 'train_list', [['data_batch_1', sums['data_batch_1']]])
        monkeypatch.setattr(cls, 'test_list', [['test_batch', sums['test_batch']]])
        key = {'filename': 'batches.meta', 'key': 'label_names', 'md5': sums['batches.meta']}
        monkeypatch.setattr(cls, 'meta', key)
    return tmp_path


def build(root, **options):
    return DATASETS.build(dict(type='CheckedCIFAR10', data_root=str(root), pipeline=[], **options))


@pytest.mark.parametrize('split', ['train', 'test'])
def test_folders(folders, split):
    data = build(folders, split=split)
    assert len(data) == 20
    assert [data[i]['gt_label'] for i in (0, 1, 2, 19)] == [0, 0, 1, 9]
    np.testing.assert_array_equal(data[6]['img'], picture(3))


@pytest.mark.parametrize('train', [True, False])
def test_pickles_are_read_as_torchvision_does(pickles, train):
    data = build(pickles, split='train' if train else 'test')
    theirs = torchvision.datasets.CIFAR10(pickles, train=train)
    assert len(data) == len(theirs) == 10
    for i in range(10):
        image, label = theirs[i]
        np.testing.assert_array_equal(data[i]['img'], np.asarray(image))
        assert data[i]['gt_label'] == label


def test_a_choice_of_classes(folders):
    for split in ('train', 'test'):
        for name in CLASSES[2:]:
            for path in (folders / split / name).iterdir():
                path.unlink()
            (folders / split / name).rmdir()
    data = build(folders, metainfo=dict(classes=('automobile', 'airplane')))
    assert [data[i]['gt_label'] for i in range(4)] == [0, 0, 1, 1]
    np.testing.assert_array_equal(data[0]['img'], picture(1))


@pytest.mark.parametrize(('spoil', 'message'), [
    (lambda root: (root / 'train/cat').rename(root / 'train/dog2'), 'cat, dog2 on one side only'),
    (lambda root: (root / 'train/cat/0000.png').write_bytes(b'no image'), 'cat/0000.png cannot'),
    (lambda root: (root / 'train/cat/0000.png').write_bytes(b''), 'cat/0000.png cannot be read'),
    (lambda root: cv2.imwrite(str(root / 'train/cat/0000.png'), np.zeros((8, 9, 3), np.uint8)),
     '9 x 8 pixels, not 32 x 32'),
    (lambda root: [path.unlink() for path in (root / 'train/cat').iterdir()], 'cat has no image'),
])
def test_bad_folders(folders, spoil, message):
    spoil(folders)
    with pytest.raises(UserError, match=message):
        build(folders)


def test_absent_weights_are_not_downloaded(tmp_path):
    with pytest.raises(UserError, match='neither a folder train/ .* nor cifar-10-batches-py/'):
        build(tmp_path)


def test_damaged_pickle(pickles):
    (pickles / CheckedCIFAR10.base_folder / 'data_batch_1').write_bytes(b'cut')
    with pytest.raises(UserError, match='missing or damaged'):
        build(pickles)
