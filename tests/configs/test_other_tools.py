"""The train tools of mmdet and mmpretrain take these configs as they are."""
import shutil
import subprocess
import sys
from pathlib import Path

import mmdet
import mmpretrain
import pytest
import torch

from eca_mm.compat import load_checkpoint_file
from tests.support.catalog import ROOT
from tests.support.samples import CLASSES, draw_classes, draw_coco

# Smaller models and pictures; nothing about imports, scopes, hooks or data set types.
DETECTION = """
_base_ = '{root}/configs/retinanet/retinanet_eca-r50_fpn_4xb2-1x_coco.py'
model = dict(
    backbone=dict(depth=18, base_channels=8, stem_channels=8, init_cfg=None),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=8),
    bbox_head=dict(num_classes=3, in_channels=8, feat_channels=8), test_cfg=dict(score_thr=0.0))
data = dict(
    data_root='{data}/', ann_file='annotations.json', data_prefix=dict(img='images/'),
    metainfo=dict(classes={classes}))
train_dataloader = dict(dataset=data, num_workers=0, persistent_workers=False)
val_dataloader = dict(dataset=data, num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='{data}/annotations.json')
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1)
"""
CLASSIFICATION = """
_base_ = '{root}/configs/eca_resnet/eca-resnet18-k3577_4xb64_in1k.py'
model = dict(
    backbone=dict(base_channels=8, stem_channels=8), head=dict(num_classes=3, in_channels=64))
data = dict(_delete_=True, type='CustomDataset', data_root='{data}')
train_dataloader = dict(batch_size=4, dataset=dict(
    pipeline=_base_.train_dataloader.dataset.pipeline, **data))
val_dataloader = dict(dataset=dict(pipeline=_base_.val_dataloader.dataset.pipeline, **data))
test_dataloader = val_dataloader
val_evaluator = dict(topk=(1, ))
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1)
"""


def train(library, config: str, folder: Path) -> str:
    """Run a library's own train tool on a config in a folder, and return what it prints."""
    path = folder / 'config.py'
    path.write_text(config.format(root=ROOT, data=folder / 'data', classes=CLASSES))
    tool = Path(library.__file__).parent / '.mim/tools/train.py'
    done = subprocess.run([sys.executable, tool, path, '--work-dir', 'work'], cwd=folder,
                          capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert (folder / 'work/epoch_1.pth').is_file()
    return done.stdout


@pytest.mark.slow
def test_mmdet(tmp_path):
    draw_coco(tmp_path / 'data')
    assert 'Average Precision' in train(mmdet, DETECTION, tmp_path)


@pytest.mark.slow
def test_mmpretrain(tmp_path):
    draw_classes(tmp_path / 'data')
    assert 'accuracy/top1' in train(mmpretrain, CLASSIFICATION, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(('library', 'config', 'draw'), [
    (mmdet, DETECTION, draw_coco), (mmpretrain, CLASSIFICATION, draw_classes)],
    ids=['mmdet', 'mmpretrain'])
def test_the_same_run_as_ours_and_resumed_exactly(library, config, draw, tmp_path):
    """What runs stands in the config: their tool, ours and a resumed run end with equal weights."""
    draw(tmp_path / 'data')
    config = config.replace('max_epochs=1', 'max_epochs=2') + 'randomness = dict(seed=3)\n'
    path = tmp_path / 'config.py'
    path.write_text(config.format(root=ROOT, data=tmp_path / 'data', classes=CLASSES))
    theirs = Path(library.__file__).parent / '.mim/tools/train.py'
    weights = {}
    for name, tool in (('theirs', theirs), ('ours', ROOT / 'tools/train.py')):
        run(tool, path, '--work-dir', name, cwd=tmp_path)
        weights[name] = state(tmp_path / name / 'epoch_2.pth')
    resumed = tmp_path / 'resumed'
    resumed.mkdir()
    shutil.copy(tmp_path / 'theirs/epoch_1.pth', resumed)
    run(theirs, path, '--work-dir', 'resumed', '--resume', cwd=tmp_path)
    weights['resumed'] = state(resumed / 'epoch_2.pth')
    for name, value in weights['theirs'].items():
        assert torch.equal(value, weights['ours'][name]), name
        assert torch.equal(value, weights['resumed'][name]), name


def run(tool: Path, *arguments, cwd: Path) -> None:
    done = subprocess.run([sys.executable, tool, *arguments], cwd=cwd, capture_output=True,
                          text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]


def state(path: Path) -> dict:
    return load_checkpoint_file(path)['state_dict']
