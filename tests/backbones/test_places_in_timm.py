"""The places of attentions in timm's networks: every one is called, and in the residual branch."""
import pytest
import timm
import torch

from eca_mm.backbones import add_attention

# By name: the number of attentions and where the first one stands.
QUICK = {
    'skresnet18': (8, 'after layer1.0.conv2.bn'),
    'resnest14d': (4, 'after layer1.0.bn3'),
    'nf_resnet26': (8, 'after stages.0.0.conv3'),
    'gernet_s': (14, 'after stages.0.0.conv2_kxk.bn'),
    'mobilenetv4_conv_small': (12, 'after blocks.2.0.dw_end'),
    'edgenext_xx_small': (9, 'before stages.0.blocks.0.drop_path'),
    'legacy_seresnet18': (8, 'in place of layer1.0.se_module')}
OTHERS = {
    'res2net50_26w_4s': (16, 'after layer1.0.bn3'),
    'resnetv2_50': (16, 'after stages.0.blocks.0.conv3'),
    'repvgg_a0': (22, 'after stem.attn'),
    'mobileone_s0': (43, 'after stem.attn'),
    'dla34': (12, 'after level2.tree1.bn2'),
    'cspdarknet53': (23, 'after stages.0.blocks.0.conv2.bn'),
    'cspresnext50': (13, 'after stages.0.blocks.0.conv3.bn'),
    'vovnet39a': (6, 'after stages.0.blocks.0.conv_concat'),
    'hgnet_tiny': (5, 'in place of stages.0.blocks.0.aggregation.1'),
    'densenet121': (58, 'after features.denseblock1.denselayer1.conv2'),
    'inception_v3': (11, 'after Mixed_5b'),
    'inception_v4': (14, 'after features.6')}


@pytest.mark.parametrize(('name', 'count', 'first'), [
    *((name, *expected) for name, expected in QUICK.items()),
    *(pytest.param(name, *expected, marks=pytest.mark.slow) for name, expected in OTHERS.items())])
def test_places(name, count, first):
    model = timm.create_model(name).eval()
    report = add_attention(model, dict(type='ECALayer'))
    assert (len(report.layers), next(iter(report.places.values()))) == (count, first)
    called = []
    for name, layer in report.layers.items():
        layer.register_forward_hook(lambda *_, name=name: called.append(name))
    with torch.no_grad():
        assert model(torch.randn(1, 3, 96, 96)).shape == (1, 1000)
    assert sorted(called) == sorted(report.layers)


@pytest.mark.parametrize(('name', 'message'), [
    ('ecaresnet26t', 'ResNet has an attention already .EcaModule at layer1.0.se.'),
    ('vit_tiny_patch16_224', 'VisionTransformer has no convolutional blocks')])
def test_refused(name, message):
    with pytest.raises(ValueError, match=message):
        add_attention(timm.create_model(name), dict(type='ECALayer'))
