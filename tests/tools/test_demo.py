"""The demo draws the predictions of both kinds of models."""
import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

from tests.support.catalog import ROOT, load
from tests.support.processes import run_tool


def save_model(name, path, *changes):
    config = load(name)
    for change in changes:
        config.merge_from_dict(change)
    with DefaultScope.overwrite_default_scope(config.default_scope):
        torch.save(dict(state_dict=MODELS.build(config.model).state_dict()), path)
    return ROOT / 'configs' / name


def picture(path):
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8))


@pytest.mark.slow
def test_classification_of_a_folder(tmp_path):
    config = save_model('eca_resnet/eca-resnet18-k3577_4xb64_in1k.py', tmp_path / 'c.pth')
    (tmp_path / 'images').mkdir()
    for name in ('a.png', 'b.png'):
        picture(tmp_path / 'images' / name)
    result = run_tool(tmp_path, 'demo.py', 'images', config, 'c.pth', '--out-dir', 'out')
    assert result.returncode == 0, result.stderr
    assert {path.stem for path in (tmp_path / 'out').iterdir()} == {'a', 'b'}
    again = run_tool(tmp_path, 'demo.py', 'images', config, 'c.pth', '--out-dir', 'out')
    assert again.returncode == 1 and '--overwrite' in again.stderr


def test_detection_of_a_picture(tmp_path):
    changes = {'model.backbone.depth': 18, 'model.neck.in_channels': [64, 128, 256, 512]}
    config = save_model('retinanet/retinanet_eca-r50_fpn_4xb2-1x_coco.py', tmp_path / 'd.pth',
                        changes)
    picture(tmp_path / 'a.png')
    result = run_tool(
        tmp_path, 'demo.py', 'a.png', config, 'd.pth', '--out-dir', 'out', '--score-thr', '0',
        '--cfg-options', 'model.backbone.depth=18', 'model.neck.in_channels=[64,128,256,512]',
        'model.test_cfg.score_thr=0', 'model.test_cfg.max_per_img=5',
        # Instead of 1333 x 800.
        'test_dataloader.dataset.pipeline.1.scale=(160,160)')
    assert result.returncode == 0, result.stderr
    assert [path.name for path in (tmp_path / 'out/vis').iterdir()] == ['a.png']
    drawn = cv2.imread(str(tmp_path / 'out/vis/a.png'))
    assert not np.array_equal(drawn, cv2.imread(str(tmp_path / 'a.png')))


def test_mistakes_are_reported(tmp_path):
    config = ROOT / 'configs/eca_resnet/eca-resnet18-k3577_4xb64_in1k.py'
    result = run_tool(tmp_path, 'demo.py', 'none.png', config, 'c.pth', '--out-dir', 'out')
    assert result.returncode == 1 and result.stderr.startswith('none.png does not exist')
    picture(tmp_path / 'a.png')
    (tmp_path / 'c.pth').write_bytes(b'no checkpoint')
    result = run_tool(tmp_path, 'demo.py', 'a.png', config, 'c.pth', '--out-dir', 'out')
    assert result.returncode == 1 and 'c.pth is truncated' in result.stderr
    assert not (tmp_path / 'out').exists()
