"""The configs of timm's ECA-ResNets: their figures, their preprocessing, their detectors."""
import math
from pathlib import Path

import pytest
import timm
import torch
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.registry import init_default_scope
from mmpretrain.registry import TRANSFORMS

from eca_mm.analysis import build_model, measure_complexity
from tests.support.catalog import counts, load, metafiles
from tests.support.timm_models import CLASSIFIERS

MODELS_LISTED = {
    model['Config'].removeprefix('configs/'): model['Metadata']
    for path, content in metafiles().items() if '/timm_' in path for model in content['Models']}
# Parameters as printed with timm's results, in millions.
PRINTED = {'eca-resnet50d': 25.58, 'eca-resnet101d': 44.57, 'eca-resnet-light': 30.16,
           'eca-resnet50d-pruned': 19.94, 'eca-resnet101d-pruned': 24.88}
QUICK = {'eca-resnet26t'}


def path(model: str) -> str:
    return f'timm_eca_resnet/{model}_8xb32_in1k.py'


def test_every_network_has_a_config():
    assert {name for name in MODELS_LISTED if 'in1k' in name} == set(map(path, CLASSIFIERS))


@pytest.mark.parametrize('model', PRINTED)
def test_printed_parameters(model):
    assert f'{counts(path(model))[0] / 1e6:.2f}' == f'{PRINTED[model]:.2f}'


@pytest.mark.parametrize('name', [
    name if name in map(path, QUICK) else pytest.param(name, marks=pytest.mark.slow)
    for name in MODELS_LISTED])
def test_flops(name):
    assert MODELS_LISTED[name]['FLOPs'] == measure_complexity(build_model(load(name))).flops


@pytest.mark.parametrize(('model', 'theirs'), CLASSIFIERS.items())
def test_preprocessing_is_that_of_the_weights(model, theirs):
    cfg = timm.get_pretrained_cfg(theirs)
    size = cfg.input_size[1]
    config = load(path(model))
    assert config.data_preprocessor.mean == pytest.approx([255 * m for m in cfg.mean])
    assert config.data_preprocessor.std == pytest.approx([255 * s for s in cfg.std])
    assert config.data_preprocessor.to_rgb
    for loader in (config.val_dataloader, config.test_dataloader):
        _, resize, crop, _ = loader.dataset.pipeline
        assert (resize.scale, resize.edge, resize.backend, resize.interpolation) == (
            math.floor(size / cfg.crop_pct), 'short', 'pillow', cfg.interpolation)
        assert crop.crop_size == size
        # Interpolation is a name that the transform has to know.
        init_default_scope(config.default_scope)
        TRANSFORMS.build(resize)
    # Behind the seeding and the loading.
    crop = config.train_dataloader.dataset.pipeline[2]
    assert (crop.scale, crop.interpolation) == (size, cfg.interpolation)
    assert config.train_dataloader.batch_size * 8 == config.auto_scale_lr.base_batch_size


@pytest.mark.parametrize('depth', [50, pytest.param(101, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_detector_learns_from_converted_weights(depth, tmp_path, monkeypatch):
    config = load(f'timm_faster_rcnn/faster-rcnn_eca-r{depth}d_fpn_8xb2-1x_coco.py')
    classifier = build_model(load(path(f'eca-resnet{depth}d')))
    monkeypatch.chdir(tmp_path)
    weights = Path(config.model.backbone.init_cfg.checkpoint)
    assert weights.name == f'eca-resnet{depth}d.pth'
    weights.parent.mkdir()
    torch.save(dict(state_dict=classifier.state_dict()), weights)
    model = MODELS.build(config.model)
    model.backbone.init_weights()
    for name, value in classifier.backbone.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[name], value), name
    data = model.data_preprocessor(demo_mm_inputs(1, [(3, 64, 64)], num_items=[1]), True)
    model.train()
    losses = model(**data, mode='loss')
    sum(value if torch.is_tensor(value) else sum(value)
        for name, value in losses.items() if 'loss' in name).backward()
    assert model.backbone.layer1[0].conv1.weight.grad is None
    assert model.backbone.layer2[0].eca.conv.weight.grad.abs().sum() > 0
