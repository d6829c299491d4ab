"""Exported files, run beside the models that they were made from."""
import json
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from mmdet.registry import MODELS as MMDET_MODELS
from mmengine.config import Config
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS

from eca_mm.analysis.complexity import build_model, data_sample, measure_complexity
from eca_mm.backbones.two_stream import input_channels
from eca_mm.deploy import export as exporting
from eca_mm.deploy import fuse
from eca_mm.deploy.export import SUFFIXES, TensorModel, export, output_names
from eca_mm.deploy.metadata import metadata_of
from eca_mm.deploy.verify import TOLERANCE, _difference, compare, shapes_to_try
from eca_mm.utils.errors import UserError
from tests.conftest import REPOSITORY
from tests.support.randomize import randomize

SHAPE = (64, 96)


def classifier(backbone, channels):
    config = dict(type='ImageClassifier', backbone=backbone, neck=dict(type='GlobalAveragePooling'),
                  head=dict(type='LinearClsHead', num_classes=10, in_channels=channels))
    return randomize(MMPRETRAIN_MODELS.build(config))


def resnet18():
    return classifier(dict(type='ECAResNet', depth=18), 512)


def mobilenet_v2():
    return classifier(dict(type='ECAMobileNetV2', widen_factor=0.5), 1280)


def pyramid(depth=18):
    config = Config.fromfile(
        REPOSITORY / 'configs/retinanet/retinanet_eca-r50_fpn_4xb2-1x_coco.py').model
    channels = [64, 128, 256, 512] if depth < 50 else [256, 512, 1024, 2048]
    config.backbone.update(depth=depth, init_cfg=None)
    config.neck.in_channels = channels
    return randomize(MMDET_MODELS.build(config))


def written(model, folder, kind, fused=False, shape=SHAPE, **options):
    """Exports a model; returns what the file should compute and the file."""
    path = folder / f'model{SUFFIXES[kind]}'
    whole = TensorModel(model)
    export(TensorModel(fuse(model)) if fused else whole, path, kind, shape,
           output_names(whole, shape), **options)
    return whole, path


# ONNX of small models has its default tests below and with the command line.
@pytest.mark.parametrize('build, kind, fused', [
    (pyramid, 'torchscript', True),
    (pyramid, 'torchscript', False),
    (mobilenet_v2, 'torchscript', True),
    *(pytest.param(*case, marks=pytest.mark.slow) for case in (
        (resnet18, 'onnx', False),
        (resnet18, 'onnx', True),
        (resnet18, 'torch-export', True),
        (pyramid, 'onnx', True),
        (mobilenet_v2, 'onnx', True),
        (mobilenet_v2, 'onnx', False),
        (mobilenet_v2, 'torch-export', False),
        (lambda: pyramid(101), 'onnx', True))),
])
def test_any_batch_and_size(tmp_path, build, kind, fused):
    if kind == 'torch-export' and torch.__version__ < (2, 6):
        pytest.skip('this torch has no Dim.DYNAMIC')
    model, path = written(build(), tmp_path, kind, fused)
    differences = compare(model, path, kind, shapes_to_try(SHAPE))
    assert [found.shape for found in differences] == [
        (1, 3, 64, 96), (3, 3, 64, 96), (2, 3, 49, 96), (1, 3, 64, 129)]
    assert max(found.relative for found in differences) < TOLERANCE / 10


@pytest.mark.slow
@pytest.mark.skipif(torch.__version__ < (2, 6), reason='this torch has no Dim.DYNAMIC')
def test_torch_export_of_a_pyramid_wants_maps_of_more_than_one_pixel(tmp_path):
    model, path = written(pyramid(), tmp_path, 'torch-export', shape=(256, 320))
    differences = compare(model, path, 'torch-export', shapes_to_try((256, 320)))
    assert max(found.relative for found in differences) < TOLERANCE / 10
    model, path = written(pyramid(), tmp_path, 'torch-export')
    with pytest.raises(UserError, match=r'does not take images of shape \(1, 3, 64, 129\)'):
        compare(model, path, 'torch-export', shapes_to_try(SHAPE))


@pytest.mark.slow
def test_onnx_file_of_a_pyramid(tmp_path):
    metadata = {'classes': json.dumps(['cat', 'dog'])}
    model, path = written(pyramid(), tmp_path, 'onnx', metadata=metadata)
    session = onnxruntime.InferenceSession(str(path))
    images, = session.get_inputs()
    assert (images.name, images.shape) == ('images', ['batch', 3, 'height', 'width'])
    names = [output.name for output in session.get_outputs()]
    assert names == ['map0', 'map1', 'map2', 'map3', 'map4']
    assert session.get_modelmeta().custom_metadata_map == metadata
    x = torch.randn(2, 3, 100, 75)
    with torch.no_grad():
        expected = [value.numpy() for value in model(x)]
    for mine, theirs in zip(expected, session.run(None, {'images': x.numpy()}), strict=True):
        assert np.abs(mine - theirs).max() <= 1e-5 * np.abs(mine).max()

    # MMDetection's heads after it, as docs/deployment.md has it.
    detector, samples = model.model, [data_sample(100, 75), data_sample(100, 75)]
    detector.test_cfg.score_thr = 0
    with torch.no_grad():
        expected = [sample.pred_instances for sample in detector.predict(x, samples, False)]
        detector.extract_feat = lambda images: tuple(
            map(torch.from_numpy, session.run(None, {'images': images.numpy()})))
        found = [sample.pred_instances for sample in detector.predict(x, samples, False)]
    for mine, theirs in zip(expected, found, strict=True):
        assert len(mine) == 100
        torch.testing.assert_close(mine.scores, theirs.scores, rtol=1e-4, atol=1e-6)


def test_a_fixed_size_leaves_the_batch_free(tmp_path):
    # An excitation whose convolution is as large as the map, so that no other size fits.
    attention = [None, None, None, dict(type='GELayer', variant='theta', map_size=(2, 3))]
    model = classifier(dict(type='AttentionResNet', depth=18, attention=attention), 512)
    model, path = written(model, tmp_path, 'torchscript', fixed_size=True)
    shapes = shapes_to_try(SHAPE, fixed_size=True)
    assert shapes == [(1, 3, 64, 96), (3, 3, 64, 96)]
    assert max(found.relative for found in compare(model, path, 'torchscript', shapes)) < 1e-5


@pytest.mark.slow
def test_fixed_size_of_onnx(tmp_path):
    _, path = written(resnet18(), tmp_path, 'onnx', fixed_size=True)
    images, = onnxruntime.InferenceSession(str(path)).get_inputs()
    assert images.shape == ['batch', 3, 64, 96]


def test_backbone_alone():
    model = TensorModel(pyramid(), backbone_only=True)
    assert output_names(model, SHAPE) == ['map0', 'map1', 'map2', 'map3']


def test_other_weights_are_noticed(tmp_path):
    model, path = written(resnet18(), tmp_path, 'torchscript')
    with torch.no_grad():
        model.model.backbone.layer4[1].eca.conv.weight += 0.5
    assert all(found.relative > 10 * TOLERANCE
               for found in compare(model, path, 'torchscript', shapes_to_try(SHAPE)))
    other = TensorModel(classifier(dict(type='ECAResNet', depth=18), 512), backbone_only=True)
    assert compare(other, path, 'torchscript', [(1, 3, 64, 64)])[0].relative == float('inf')


def test_notes():
    config = Config.fromfile(REPOSITORY / 'configs/eca_resnet/eca-resnet18-k3577_4xb64_in1k.py')
    metadata = metadata_of(config, dict(dataset_meta=dict(classes=('cat', 'dog'))))
    assert json.loads(metadata['preprocessing']) == dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], channels='RGB', divisor=1)
    assert json.loads(metadata['classes']) == ['cat', 'dog']


def test_a_model_whose_pipeline_normalises_has_no_mean():
    config = Config(dict(model=dict(data_preprocessor=dict(mean=None, std=None))))
    assert 'preprocessing' not in metadata_of(config, {})


def test_an_absent_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(UserError, match='ONNX files need onnxruntime: run `pip install onnxrun'):
        exporting.check_format('onnx')


@pytest.mark.parametrize('found', [float('nan'), float('inf'), -float('inf')])
def test_nan_and_infinity_are_never_near(found):
    one, bad = torch.ones(1, 2), torch.tensor([[1., found]])
    for expected, got in ((one, bad), (bad, one), (bad, bad)):
        # The bad value in the second output, where max() would let it pass.
        assert _difference((1, 3, 2, 2), [one, expected], [one, got]).relative == float('inf')


@pytest.mark.parametrize('channels', [1, 4])
def test_images_of_any_number_of_channels(channels):
    model = build_model(Config(dict(default_scope='mmpretrain', model=dict(
        type='ImageClassifier', neck=dict(type='GlobalAveragePooling'),
        backbone=dict(type='ECAResNet', depth=18, in_channels=channels),
        head=dict(type='LinearClsHead', num_classes=2, in_channels=512)))))
    assert input_channels(model) == input_channels(TensorModel(model)) == channels
    assert measure_complexity(model, (32, 32)).flops > 0
    assert output_names(TensorModel(model), (32, 32)) == ['logits']
    assert all(shape[1] == channels for shape in shapes_to_try((32, 32), False, channels))
