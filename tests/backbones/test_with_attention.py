"""Attention in networks that were written without it."""
import copy
import io
import warnings

import pytest
import timm
import torch
import torchvision
from mmdet.registry import MODELS as DETECTION
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.registry import MODELS as CLASSIFICATION
from torch import nn

import eca_mm
from eca_mm.analysis import build_model
from eca_mm.backbones import ECAResNet, add_attention
from tests.support.backbones import randomize_norms

ECA = dict(type='ECALayer')
NEXT = dict(type='CSPNeXt', deepen_factor=.167, widen_factor=.375)


def build(scope, network, attention=ECA, **kwargs):
    with DefaultScope.overwrite_default_scope(scope):
        cfg = dict(type='WithAttention', network=network, attention=attention, **kwargs)
        model = MODELS.build(cfg)
    for module in model.modules():
        module.training = False
    return model


def added(model, plain):
    return sorted(set(model.state_dict()) - set(plain.state_dict()))


def test_the_network_itself_with_the_keys_that_ours_has():
    """A checkpoint moves between WithAttention, ECAResNet and mmdet's plugins."""
    model = build('mmdet', dict(type='ResNet', depth=50))
    assert isinstance(model, DETECTION.get('ResNet'))
    ours = ECAResNet(50, out_indices=(0, 1, 2, 3)).eval()
    assert sorted(model.state_dict()) == sorted(ours.state_dict())
    plugin = DETECTION.build(dict(type='ResNet', depth=50, plugins=[
        dict(cfg=ECA, position='after_conv3')]))
    randomize_norms(ours)
    x = torch.randn(1, 3, 64, 64)
    model.load_state_dict(ours.state_dict())
    plugin.load_state_dict(model.state_dict())
    plugin.eval()
    for a, b, c in zip(model(x), ours(x), plugin(x), strict=True):
        torch.testing.assert_close(a, b)
        torch.testing.assert_close(a, c)


def test_weights_of_the_plain_network_load():
    plain = DETECTION.build(dict(type='HourglassNet', num_stacks=1))
    model = build('mmdet', dict(type='HourglassNet', num_stacks=1))
    found = model.load_state_dict(plain.state_dict(), strict=False)
    assert not found.unexpected_keys
    assert found.missing_keys and all('eca.conv.weight' in key for key in found.missing_keys)


def test_squeeze_and_excitation_is_replaced():
    """"We replace SE block by our ECA module" (Section 4.1)."""
    plain = CLASSIFICATION.build(dict(type='SEResNet', depth=50))
    report = add_attention(plain, ECA)
    assert len(report.layers) == 16 and len(report.dropped) == 64
    assert all('.se_layer.' in key for key in report.dropped)
    assert sorted(plain.state_dict()) == sorted(ECAResNet(50).state_dict())
    assert '64 weights are gone' in str(report)
    model = build('mmdet', NEXT)
    assert [name for name, _ in model.named_modules() if name.endswith('.eca')] == [
        f'stage{i}.{2 if i == 4 else 1}.eca' for i in (1, 2, 3, 4)]


NETWORKS = {
    'mmdet': [NEXT, dict(type='CSPDarknet', deepen_factor=.33, widen_factor=.25),
              dict(type='Darknet', depth=53), dict(type='MobileNetV2', widen_factor=.5),
              dict(type='DetectoRS_ResNet', depth=50, sac=None)],
    'mmpretrain': [dict(type='RepVGG', arch='A0'), dict(type='ConvNeXt', arch='atto'),
                   dict(type='MobileNetV3', arch='small'), dict(type='ShuffleNetV2'),
                   dict(type='VAN', arch='tiny'), dict(type='DenseNet', arch='121'),
                   dict(type='VGG', depth=11), dict(type='EfficientNet', arch='b0'),
                   dict(type='InceptionV3', aux_logits=False)]}


@pytest.mark.parametrize(('scope', 'network'), [
    (scope, network) for scope, networks in NETWORKS.items() for network in networks],
    ids=lambda value: value['type'] if isinstance(value, dict) else value)
def test_every_attention_acts_and_learns(scope, network):
    model = build(scope, network)
    layers = [module for module in model.modules() if isinstance(module, eca_mm.layers.ECALayer)]
    assert layers
    output = model(torch.randn(1, 3, 96, 96))
    sum((value * torch.randn_like(value)).sum() for value in output if value is not None).backward()
    assert all(layer.conv.weight.grad is not None for layer in layers)
    assert not [name for name, value in model.named_parameters() if 'eca' in name
                and value.grad.abs().sum() == 0]


VISION = {name: getattr(torchvision.models, name) for name in (
    'resnet18', 'resnext50_32x4d', 'regnet_x_400mf', 'regnet_y_400mf', 'efficientnet_b0',
    'mobilenet_v3_small', 'convnext_tiny', 'mobilenet_v2', 'shufflenet_v2_x0_5', 'vgg11_bn')}


@pytest.mark.parametrize('name', [
    pytest.param(name, marks=pytest.mark.slow) if name in ('vgg11_bn', 'inception_v3') else name
    for name in (*VISION, 'inception_v3')])
def test_torchvision(name):
    torch.manual_seed(0)
    options = dict(init_weights=False, aux_logits=False) if name == 'inception_v3' else {}
    model = getattr(torchvision.models, name)(weights=None, **options).eval()
    x = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        before = model(x)
        report = add_attention(model, ECA)
        assert report.layers and not torch.equal(model(x), before)
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    with torch.no_grad():
        torch.testing.assert_close(torch.load(buffer, weights_only=False)(x), model(x))
        torch.testing.assert_close(copy.deepcopy(model)(x), model(x))


@pytest.mark.parametrize('name', ['resnet18', 'seresnet18', 'regnety_002', 'efficientnet_lite0'])
def test_timm(name):
    model = timm.create_model(name).eval()
    report = add_attention(model, ECA)
    assert report.layers and bool(report.dropped) == name.startswith(('se', 'regnety'))
    model(torch.randn(1, 3, 64, 64)).sum().backward()
    assert all(layer.conv.weight.grad is not None for layer in report.layers.values())


def test_stages_and_blocks():
    stages = [None, ECA, [None, dict(type='SELayer'), *[None] * 4], dict(type='CBAM')]
    model = build('mmdet', dict(type='ResNet', depth=50), stages)
    plain = DETECTION.build(dict(type='ResNet', depth=50))
    names = {key.rpartition(f'.{kind}.')[0] + f'.{kind}' for key in added(model, plain)
             for kind in ('eca', 'se', 'cbam') if f'.{kind}.' in key}
    assert names == {*(f'layer2.{i}.eca' for i in range(4)), 'layer3.1.se',
                     *(f'layer4.{i}.cbam' for i in range(3))}


def test_necks_by_name():
    neck = dict(type='FPN', in_channels=[8, 16], out_channels=8, num_outs=3)
    model = build('mmdet', neck, at=r'fpn_convs\.\d+')
    plain = DETECTION.build(neck)
    assert added(model, plain) == ['fpn_convs.0.eca.conv.weight', 'fpn_convs.1.eca.conv.weight']
    plain.load_state_dict(model.state_dict(), strict=False)
    maps = [torch.randn(1, 8, 8, 8), torch.randn(1, 16, 4, 4)]
    expected = plain(maps)
    for i, (ours, theirs) in enumerate(zip(model(maps)[:2], expected, strict=False)):
        torch.testing.assert_close(ours, model.fpn_convs[i].eca(theirs))


def test_several_patterns_and_leaves():
    model = torchvision.models.resnet18(weights=None).eval()
    report = add_attention(model, ECA, at=['relu', r'layer\d', r'conv1'])
    assert list(report.layers) == ['relu_eca', 'layer1_eca', 'layer2_eca', 'layer3_eca',
                                   'layer4_eca', 'conv1_eca']
    calls = []
    for layer in report.layers.values():
        layer.register_forward_hook(lambda *_: calls.append(1))
    model(torch.randn(1, 3, 64, 64))
    assert len(calls) == 6


@pytest.mark.parametrize(('at', 'message'), [
    (r'layer1\.[', 'not a regular expression'),
    (r'layer9\.\d', 'matches no module'),
    (r'layer1.0.bn', "matches no module .* the nearest names are 'layer1.0.bn"),
    (r'layer1(\.0)?', "contains it; narrow"),
    ('fc', 'does not output a map'),
    ('avgpool|fc', 'does not output a map'),
])
def test_bad_names(at, message):
    with pytest.raises(ValueError, match=message):
        add_attention(torchvision.models.resnet18(weights=None), ECA, at=at)


def test_bad_input():
    with pytest.raises(ValueError, match='SwinTransformer has no convolutional blocks'):
        build('mmdet', dict(type='SwinTransformer', depths=(1, 1, 1, 1)))
    with pytest.raises(ValueError, match='has an attention already .ECALayer at layer1.0.eca'):
        build('mmpretrain', dict(type='ECAResNet', depth=18))
    with pytest.raises(ValueError, match=r'3 entries.*stages are layer1, layer2, layer3, layer4'):
        build('mmdet', dict(type='ResNet', depth=18), [ECA, ECA, None])
    with pytest.raises(ValueError, match='adds nothing'):
        build('mmdet', dict(type='ResNet', depth=18), [None] * 4)
    with pytest.raises(ValueError, match='one map_size for the stages'):
        build('mmdet', dict(type='ResNet', depth=18),
              dict(type='GELayer', variant='theta', map_size=7))
    with pytest.raises(ValueError, match='ModuleList, which has no output'):
        build('mmdet', dict(type='FPN', in_channels=[8, 16], out_channels=8, num_outs=2),
              at='fpn_convs')


def test_without_a_scope_a_bare_name_gets_a_one_line_error():
    with pytest.raises(ValueError, match=r"does not find the network 'CSPNeXt'.*mmdet.CSPNeXt"):
        MODELS.build(dict(type='WithAttention', network=NEXT, attention=ECA))
    model = MODELS.build(dict(type='WithAttention', network={**NEXT, '_scope_': 'mmdet'},
                              attention=ECA))
    assert isinstance(model, DETECTION.get('CSPNeXt'))


def test_frozen_stages_and_checkpointing():
    model = build('mmpretrain', dict(type='ResNet', depth=18, frozen_stages=1, with_cp=True))
    model.train()
    assert not any(p.requires_grad for p in model.layer1.parameters() if p.dim() == 4)
    model(torch.randn(2, 3, 32, 32))[0].sum().backward()
    assert model.layer2[0].eca.conv.weight.grad is not None


def test_any_of_our_attentions():
    for kind in ('SELayer', 'CBAM', 'GCBlock', 'NonLocalBlock', 'DoubleAttention', 'ECANSLayer'):
        model = build('mmdet', dict(type='ResNet', depth=18), dict(type=kind))
        assert [y.size(1) for y in model(torch.randn(1, 3, 32, 32))] == [64, 128, 256, 512]


def test_onnx(tmp_path):
    onnxruntime = pytest.importorskip('onnxruntime')
    model = build('mmpretrain', dict(type='MobileNetV3', arch='small'))
    x = torch.randn(1, 3, 64, 64)
    torch.onnx.export(model, (x,), str(tmp_path / 'm.onnx'), dynamo=False)
    session = onnxruntime.InferenceSession(str(tmp_path / 'm.onnx'))
    found = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    torch.testing.assert_close(torch.from_numpy(found[0]), model(x)[0], rtol=1e-4, atol=1e-4)


def test_weights_start_as_the_attention_wants():
    """GC starts as the identity, whatever the backbone's init_cfg does to convolutions."""
    model = build('mmdet', dict(type='ResNet', depth=18), dict(type='GCBlock'))
    plain = DETECTION.build(dict(type='ResNet', depth=18))
    model.init_weights()
    plain.load_state_dict(model.state_dict(), strict=False)
    plain.eval()
    x = torch.randn(1, 3, 32, 32)
    for a, b in zip(model(x), plain(x), strict=True):
        torch.testing.assert_close(a, b)
    assert isinstance(model, nn.Module)


@pytest.mark.parametrize(('scope', 'network', 'free'), [
    ('mmdet', dict(type='ResNet', depth=18), True), ('mmdet', NEXT, False),
    ('mmpretrain', dict(type='ResNeXt', depth=50), True),
    ('mmpretrain', dict(type='MobileNetV2', widen_factor=.5), False)],
    ids=['ResNet', 'CSPNeXt', 'ResNeXt', 'MobileNetV2'])
def test_the_inference_form_is_exact_and_free_where_the_block_is_known(scope, network, free):
    model = build(scope, network).double()
    randomize_norms(model)
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        expected = model(x)
        fused = eca_mm.deploy.fuse(model)
        for a, b in zip(fused(x), expected, strict=True):
            torch.testing.assert_close(a, b)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    assert bool([w for w in caught if 'no known inference form' in str(w.message)]) != free


def test_a_detector_by_config(tmp_path):
    """The README's way: the config's own backbone, with ECA in it."""
    path = tmp_path / 'rtmdet.py'
    path.write_text(
        "_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'\n"
        "custom_imports = dict(imports=['eca_mm'], allow_failed_imports=False)\n"
        "model = dict(backbone=dict(_delete_=True, type='WithAttention', "
        "network={{_base_.model.backbone}}, attention=dict(type='ECALayer')))\n")
    config = Config.fromfile(path)
    detector = build_model(config)
    names = [name for name, _ in detector.named_modules() if name.endswith('.eca')]
    assert names == [f'backbone.stage{i}.{2 if i == 4 else 1}.eca' for i in (1, 2, 3, 4)]


def test_what_other_packages_set_on_a_backbone_reaches_the_network():
    """Segmentors set pretrained, inferencers init_cfg."""
    network = dict(type='ResNet', depth=18, init_cfg=dict(type='Pretrained', checkpoint='absent'))
    assert build('mmdet', network, init_cfg=None).init_cfg != network['init_cfg']
    model = build('mmdet', dict(type='ResNet', depth=18), pretrained='torchvision://resnet18')
    assert model.init_cfg == dict(type='Pretrained', checkpoint='torchvision://resnet18')
    with pytest.raises(ValueError, match=r"not 'frozen_stages'.* as network\.frozen_stages"):
        build('mmdet', dict(type='ResNet', depth=18), frozen_stages=1)
