"""Attention after the modules that ``at`` names, in necks, heads and networks of any kind."""
import copy
import pickle
from collections import OrderedDict

import pytest
import torch
import torchvision
from mmcv.cnn import fuse_conv_bn
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from eca_mm.backbones import ECAResNet, add_attention
from eca_mm.deploy import fuse
from eca_mm.layers import ECALayer
from tests.support.backbones import randomize_norms

ECA = dict(type='ECALayer')
SEPARATE = dict(
    type='RTMDetSepBNHead', num_classes=3, in_channels=16, stacked_convs=2, feat_channels=16,
    anchor_generator=dict(type='MlvlPointGenerator', offset=0, strides=[8, 16, 32]),
    bbox_coder=dict(type='DistancePointBBoxCoder'), norm_cfg=dict(type='BN'), pred_kernel_size=1,
    loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True, beta=2., loss_weight=1.),
    loss_bbox=dict(type='GIoULoss'))
HEADS = {
    'fcos': dict(type='FCOSHead', num_classes=3, in_channels=16, stacked_convs=2, feat_channels=16,
                 norm_cfg=dict(type='GN', num_groups=4)),
    'rtmdet': SEPARATE,
    'mask': dict(type='FCNMaskHead', num_convs=2, in_channels=16, conv_out_channels=8,
                 num_classes=3),
    'box': dict(type='ConvFCBBoxHead', num_shared_convs=2, num_shared_fcs=1, in_channels=16,
                conv_out_channels=8, fc_out_channels=8, num_classes=3)}


def build(network, at, scope='mmdet'):
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(dict(type='WithAttention', network=network, attention=ECA, at=at))


def channels(model):
    return {name: layer.in_channels for name, layer in model.named_modules()
            if isinstance(layer, ECALayer)}


@pytest.mark.parametrize(('head', 'at', 'found'), [
    ('fcos', r'cls_convs\.\d', {'cls_convs.0.eca': 16, 'cls_convs.1.eca': 16}),
    # Only a run tells the channels of an activation, and heads take maps of several levels.
    ('fcos', r'(cls|reg)_convs\.1\.activate', {'cls_convs.1.eca': 16, 'reg_convs.1.eca': 16}),
    ('fcos', 'conv_cls', {'eca': 3}),
    ('rtmdet', r'cls_convs\.[01]\.1', {'cls_convs.0.1.eca': 16, 'cls_convs.1.1.eca': 16}),
    ('mask', [r'convs\.\d', 'upsample'], {'convs.0.eca': 8, 'convs.1.eca': 8, 'eca': 8}),
    ('box', r'shared_convs\.\d', {'shared_convs.0.eca': 8, 'shared_convs.1.eca': 8})])
def test_heads(head, at, found):
    assert channels(build(HEADS[head], at)) == found


@pytest.mark.parametrize('at', [r'cls_convs\.1\.0\.conv', r'cls_convs\.\d\.0\.conv'])
def test_a_module_of_several_levels_gets_one_attention_by_any_of_its_names(at):
    """The convolutions of RTMDet's head are shared between the levels."""
    model = build({**SEPARATE, 'share_conv': True}, at)
    assert channels(model) == {'cls_convs.0.0.eca': 16}
    assert model.cls_convs[0][0].conv is model.cls_convs[2][0].conv
    model.eval()
    calls = []
    model.cls_convs[0][0].eca.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        model([torch.randn(1, 16, 8 >> i, 8 >> i) for i in range(3)])
        assert len(calls) == 3
        # Whatever comes in the place of the convolution, at any of the levels.
        for level in model.cls_convs:
            level[0].conv = nn.Conv2d(16, 16, 3, padding=1)
        model([torch.randn(1, 16, 8 >> i, 8 >> i) for i in range(3)])
    assert len(calls) == 6


def test_nothing_is_folded_across_an_attention():
    model = torchvision.models.resnet18(weights=None).eval()
    add_attention(model, ECA, at=r'layer1\.0\.conv2')
    with pytest.raises(ValueError, match='into the Conv2d before it, for an attention'):
        fuse_conv_bn(copy.deepcopy(model))
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad(), pytest.warns(UserWarning, match='layer1.0.conv2'):
        torch.testing.assert_close(fuse(model)(x), model(x))


def test_a_network_with_attention_takes_others_elsewhere():
    model = ECAResNet(18, base_channels=8, stem_channels=8).eval()
    with pytest.raises(ValueError, match='or name other places by `at`'):
        add_attention(model, ECA)
    add_attention(model, dict(type='CBAM'), at=r'layer4\.\d')
    assert type(model.layer4[1].cbam).__name__ == 'CBAM' and len(channels(model)) == 8
    for at in (r'layer4\.1', r'layer1\.0\.eca'):
        with pytest.raises(ValueError, match=f'{at} has an attention already; match other'):
            add_attention(model, ECA, at=at)


def test_one_after_the_other_keeps_all():
    """Blocks whose normalisation and whose output carry an attention, conversions included."""
    torch.manual_seed(0)
    model = torchvision.models.resnet18(weights=None).eval()
    randomize_norms(model)
    for at in (None, r'layer1\.0', r'layer1\.0\.bn1'):
        report = add_attention(model, ECA, at=at)
        assert report.layers
    x = torch.randn(1, 3, 32, 32)
    calls, unhooked = [], copy.deepcopy(model)
    for layer in model.modules():
        if isinstance(layer, ECALayer):
            layer.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        y = model(x)
        assert len(calls) == 10
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(unhooked))):
            torch.testing.assert_close(other(x), y)
        calls.clear()
        sync = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        assert isinstance(sync.layer1[0].bn1, nn.SyncBatchNorm)
        torch.testing.assert_close(fuse_conv_bn(model)(x), y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(('at', 'message'), [
    ([], 'at is empty'), (5, 'not a regular expression'), ('', 'matches no module'),
    ('layer9', r"nearest names are 'layer\d', 'layer\d', 'layer\d'\."),
    (['bn1', r'layer\d.*'], r"matches 'layer1\.0' and 'layer1', which contains it")])
def test_bad_patterns(at, message):
    with pytest.raises(ValueError, match=message):
        add_attention(torchvision.models.resnet18(weights=None), ECA, at=at)


@pytest.mark.parametrize(('module', 'message'), [
    (nn.Conv1d(4, 4, 1), 'part is a Conv1d, which does not output a map'),
    (nn.BatchNorm1d(4), 'part is a BatchNorm1d, which does not output a map'),
    (nn.LayerNorm(4), 'part is a LayerNorm, which does not output a map'),
    (nn.Flatten(), r'part outputs a tensor of shape \(1, \d+\), but an attention')])
def test_modules_without_a_map(module, message):
    model = nn.Sequential(OrderedDict(part=module))
    with pytest.raises(ValueError, match=message):
        add_attention(model, ECA, at='part')


def test_frozen_statistics_of_torchvisions_detectors():
    model = torchvision.models.resnet18(
        weights=None, norm_layer=torchvision.ops.FrozenBatchNorm2d).eval()
    report = add_attention(model, ECA)
    assert next(iter(report.places.values())) == 'after layer1.0.bn2'
    assert [layer.in_channels for layer in report.layers.values()] == [
        64, 64, 128, 128, 256, 256, 512, 512]
    assert len(report.layers) == 8 and model(torch.randn(1, 3, 32, 32)).shape == (1, 1000)


@pytest.mark.parametrize(('network', 'attention', 'message'), [
    ('ResNet', ECA, "network is 'ResNet', but must be a config with a type"),
    (dict(depth=18), ECA, r"network is \{'depth': 18\}, but must be a config with a type"),
    (None, dict(kernel_size=3), r"attention is \{'kernel_size': 3\}, but must be a config"),
    (None, dict(type='ECALaier'), "'ECALaier' is not registered; did you mean 'ECALayer'"),
    (None, [ECA, ECA, ECA, dict(type='ECALayer', kernel_size=4)], 'kernel_size is 4, but must')])
def test_bad_configs(network, attention, message):
    model = torchvision.models.resnet18(weights=None)
    keys = list(model.state_dict())
    with pytest.raises(ValueError, match=message):
        MODELS.build(dict(type='WithAttention', network=network or model, attention=attention))
    # Nothing was begun.
    assert list(model.state_dict()) == keys
    assert len(add_attention(model, ECA).layers) == 8
