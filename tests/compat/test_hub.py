"""Our models by name in mmpretrain, and in both code bases' inferencers."""
import subprocess
import sys

import cv2
import mmengine.hub
import mmpretrain
import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain import ImageClassificationInferencer

from eca_mm.utils.errors import UserError
from tests.support.catalog import ALL_CONFIGS, CLASSIFIERS, load

NAME = 'eca-resnet18-k3577_4xb64_in1k'


@pytest.fixture(autouse=True)
def scopes(monkeypatch):
    """An inferencer makes its scope the default one for the rest of the process."""
    monkeypatch.setattr(DefaultScope, '_instance_dict', DefaultScope._instance_dict.copy())


@pytest.fixture
def folder(tmp_path):
    """Two pictures."""
    path = tmp_path / 'images'
    path.mkdir()
    for i in range(2):
        picture = np.random.default_rng(i).integers(0, 256, (60, 80, 3), np.uint8)
        cv2.imwrite(str(path / f'{i}.png'), picture)
    return path


def test_hub_lists_our_classifiers_beside_its_own():
    names = mmpretrain.list_models()
    assert {name.rpartition('/')[2].removesuffix('.py') for name in CLASSIFIERS} <= set(names)
    assert 'resnet50_8xb32_in1k' in names
    assert not any('_fpn_' in name for name in names)
    eca = mmpretrain.list_models('*eca-*')
    assert NAME in eca and 'eca-resnet50d_8xb32_in1k' in eca
    assert len(eca) < len(ALL_CONFIGS)


def test_model_by_name():
    model = mmpretrain.get_model(NAME, backbone=dict(out_indices=(0, 1, 2, 3)), head=None,
                                 neck=None)
    assert [level.shape[1] for level in model.extract_feat(torch.rand(1, 3, 32, 32))] == [
        64, 128, 256, 512]
    assert model._metainfo.metadata.parameters == 11_689_556


def test_classification_of_files_and_arrays(folder, tmp_path):
    inferencer = ImageClassificationInferencer(NAME, pretrained=False)
    files = [str(path) for path in sorted(folder.iterdir())]
    by_file = inferencer(files, batch_size=2, show_dir=str(tmp_path / 'out'))
    by_array = inferencer([cv2.imread(path) for path in files])
    for one, other in zip(by_file, by_array, strict=True):
        np.testing.assert_allclose(one['pred_scores'], other['pred_scores'], rtol=1e-4)
        assert len(one['pred_scores']) == 1000 and isinstance(one['pred_class'], str)
    assert len(list((tmp_path / 'out').iterdir())) == 2


def test_detection_of_files_arrays_and_folders(folder, tmp_path):
    config = load('faster_rcnn/faster-rcnn_eca-r50_fpn_4xb2-1x_coco.py')
    config.model.backbone.update(depth=18, init_cfg=None)
    config.model.neck.in_channels = [64, 128, 256, 512]
    config.model.test_cfg.rpn.max_per_img = 10
    config.model.test_cfg.rcnn.score_thr = 0
    for step in config.test_dataloader.dataset.pipeline:
        if step.type == 'Resize':
            step.scale = (128, 96)
    config.test_dataloader.dataset.data_root = str(tmp_path)
    inferencer = DetInferencer(config, show_progress=False, device='cpu')
    found = inferencer(str(folder), out_dir=str(tmp_path / 'out'), pred_score_thr=0)['predictions']
    arrays = inferencer([cv2.imread(str(path)) for path in sorted(folder.iterdir())])
    assert len(found) == 2
    for one, other in zip(found, arrays['predictions'], strict=True):
        np.testing.assert_allclose(one['scores'], other['scores'], rtol=1e-4)
        assert one['bboxes']
    assert {path.name for path in (tmp_path / 'out/vis').iterdir()} == {'0.png', '1.png'}


PATH = f'eca_resnet/{NAME}.py'
FILE = mmengine.hub.get_config(f'eca_mm::{PATH}').filename


@pytest.mark.parametrize('build', [
    lambda **options: mmpretrain.get_model(NAME, **options),
    lambda **options: mmpretrain.get_model(FILE, **options),
    # Its load_from is None.
    lambda **options: mmpretrain.get_model(Config.fromfile(FILE), **options),
    lambda **options: mmengine.hub.get_model(f'eca_mm::{PATH}', **options),
    lambda **options: ImageClassificationInferencer(FILE, **options).model,
], ids=['name', 'file', 'config', 'hub', 'inferencer'])
def test_no_random_weights_for_trained_ones(build):
    with pytest.raises(UserError, match='pretrained is True, but no weights are known'):
        build(pretrained=True)
    assert build(pretrained=False).backbone.layer4[1].eca.kernel_size == 7


def test_weights_of_a_file(tmp_path):
    weights = mmpretrain.get_model(NAME).state_dict()
    torch.save(dict(state_dict=weights), tmp_path / 'w.pth')
    config = Config.fromfile(FILE)
    config.load_from = str(tmp_path / 'w.pth')
    for model, pretrained in ((NAME, config.load_from), (config, True)):
        loaded = mmpretrain.get_model(model, pretrained=pretrained).state_dict()
        assert all(torch.equal(value, loaded[name]) for name, value in weights.items())


def test_detector_from_the_hub():
    model = mmengine.hub.get_model('eca_mm::retinanet/retinanet_eca-r50_fpn_4xb2-1x_coco.py')
    assert type(model).__name__ == 'RetinaNet' and hasattr(model.backbone.layer1[0], 'eca')
    assert model.data_preprocessor.pad_size_divisor == 32


@pytest.mark.slow
def test_a_function_that_was_imported_before_refuses_too():
    code = ('from mmpretrain import get_model; import eca_mm; '
            f'get_model({NAME!r}, pretrained=True)')
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True,
                          text=True)
    assert 'pretrained is True' in done.stderr
