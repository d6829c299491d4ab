"""Converted weights compute what they computed where they come from."""
import pytest
import timm
import torch
import torchvision
from mmpretrain.registry import MODELS
from torch import nn

from eca_mm.backbones import ECAResNet
from eca_mm.checkpoints.converters.torchvision import from_torchvision
from eca_mm.utils.errors import UserError


def randomised(model):
    """A model in eval mode none of whose weights and statistics has its initial value."""
    torch.manual_seed(0)
    for name, value in model.state_dict().items():
        if name.endswith('running_var'):
            value.uniform_(0.5, 1.5)
        elif value.dim() == 1:
            value.add_(0.1 * torch.randn_like(value))
    return model.eval()


def classifier(backbone, channels, **options):
    return MODELS.build(dict(
        type='ImageClassifier', backbone=dict(type=backbone, **options),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=10, in_channels=channels))).eval()


def assert_same(source, converted, model):
    model.load_state_dict(converted, strict=True)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = source(images)
        torch.testing.assert_close(model.head.fc(model.extract_feat(images)[-1]), expected)
    assert expected.std() > 0


@pytest.mark.parametrize(('depth', 'channels'), [(18, 512), (34, 512), (50, 2048)])
def test_resnet(depth, channels):
    source = randomised(getattr(torchvision.models, f'resnet{depth}')(num_classes=10))
    model = classifier('AttentionResNet', channels, depth=depth)
    assert_same(source, from_torchvision(source.state_dict()).weights, model)


@pytest.mark.parametrize('width', [0.5, 1.0])
def test_mobilenet_v2(width):
    source = randomised(torchvision.models.mobilenet_v2(num_classes=10, width_mult=width))
    model = classifier('AttentionMobileNetV2', 1280, widen_factor=width)
    assert_same(source, from_torchvision(source.state_dict()).weights, model)


def test_mobilenet_v2_of_flat_numbering():
    source = randomised(torchvision.models.mobilenet_v2(num_classes=10))
    for block in source.features[1:18]:
        layers = [layer for part in block.conv
                  for layer in (part if isinstance(part, nn.Sequential) else [part])]
        block.conv = nn.Sequential(*layers)
    source.classifier = source.classifier[1]
    weights = source.state_dict()
    assert 'features.2.conv.7.weight' in weights and 'classifier.weight' in weights
    assert_same(source, from_torchvision(weights).weights, classifier('AttentionMobileNetV2', 1280))


def test_names_of_mmpretrain_stay():
    model = randomised(classifier('AttentionResNet', 512, depth=18))
    converted = from_torchvision(dict(state_dict=model.state_dict(), meta={})).weights
    assert list(converted) == list(model.state_dict())


def test_wrapped_weights_without_classifier():
    weights = torchvision.models.resnet18().state_dict()
    converted = from_torchvision(
        {f'module.{name}': value for name, value in weights.items() if name[:3] != 'fc.'}).weights
    assert len(converted) == len(weights) - 2
    assert all(name.startswith('backbone.') for name in converted)


@pytest.mark.parametrize(('backbone', 'options', 'source'), [
    ('ECAResNet', dict(depth=50), torchvision.models.resnet50),
    ('ECAMobileNetV2', {}, torchvision.models.mobilenet_v2),
])
def test_networks_with_attention_lack_only_the_attention(backbone, options, source):
    model = MODELS.build(dict(type='ImageClassifier', backbone=dict(type=backbone, **options)))
    conversion = from_torchvision(source().state_dict())
    converted = {name: value for name, value in conversion.weights.items()
                 if name.startswith('backbone.')}
    missing, unexpected = model.load_state_dict(converted, strict=False)
    assert not unexpected
    assert missing and all('.eca.' in name for name in missing)
    assert [f'backbone.{name}' for name in conversion.report.missing] == missing
    assert conversion.notes == (
        f'Not in it are the {len(missing)} weights of the ECA layers, which start untrained.', )


def test_of_a_detector_the_backbone_is_taken():
    resnet = torchvision.models.resnet18().state_dict()
    weights = {f'backbone.{name}': value for name, value in resnet.items() if name[:3] != 'fc.'}
    heads = {name: torch.ones(1) for name in (
        'neck.lateral_convs.0.conv.weight', 'rpn_head.rpn_conv.weight', 'roi_head.x.weight')}
    conversion = from_torchvision(dict(state_dict={**weights, **heads}))
    assert list(conversion.weights) == list(weights)
    assert '3 weights of its neck and heads were left' in conversion.notes[1]


@pytest.mark.slow
def test_wide_and_d_networks():
    conversion = from_torchvision(torchvision.models.wide_resnet50_2().state_dict())
    assert len(conversion.report.missing) == 16
    conversion = from_torchvision(timm.create_model('resnet26t').state_dict())
    assert len(conversion.report.missing) == 8
    assert 'backbone.stem.0.conv.weight' in conversion.weights
    with pytest.raises(UserError, match='has ECA layers'):
        from_torchvision(ECAResNet(18).state_dict() | {'fc.weight': torch.ones(2, 512)})


def test_gates_of_one_half_leave_a_pretrained_network_as_it_is():
    plain = randomised(MODELS.build(dict(type='AttentionMobileNetV2'))).double()
    attended = MODELS.build(dict(type='ECAMobileNetV2')).double()
    attended.load_state_dict(plain.state_dict(), strict=False)
    for name, value in attended.named_parameters():
        if '.eca.' in name:
            nn.init.zeros_(value)
    images = torch.randn(4, 3, 64, 64, dtype=torch.float64)
    # What the configs that start from plain weights rely on: in training BN undoes the factor.
    outputs = [model.train()(images)[-1] for model in (plain, attended)]
    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-2, atol=1e-2)
    assert outputs[0].std() > 0.1


@pytest.mark.parametrize(('change', 'message'), [
    (lambda w: w.pop('layer2.1.bn2.bias'), r'1 are missing in it \(layer2\.1\.bn2\.bias\)'),
    (lambda w: w.update({'layer2.1.se.weight': torch.ones(1)}), r'1 belong to no layer'),
    (lambda w: w.update({'conv1.weight': torch.ones(64, 3, 3, 3)}), r'64x3x3x3, not 64x3x7x7'),
    (lambda w: w.update({'layer2.2.conv1.weight': torch.ones(1)}), r'\(2, 3, 2, 2\) blocks'),
    (lambda w: w.clear(), 'no weights'),
])
def test_other_networks_are_refused(change, message):
    weights = torchvision.models.resnet18().state_dict()
    change(weights)
    with pytest.raises(UserError, match=message):
        from_torchvision(weights)


@pytest.mark.parametrize('name', ['features.2.conv.3.weight', 'features.18.1.running_var'])
def test_incomplete_mobilenet_v2_is_refused(name):
    weights = torchvision.models.mobilenet_v2().state_dict()
    del weights[name]
    with pytest.raises(UserError, match='1 are missing in it'):
        from_torchvision(weights)


def test_other_network_of_similar_names_is_refused():
    with pytest.raises(UserError, match='is not that of a plain ResNet or MobileNetV2'):
        from_torchvision(torchvision.models.mobilenet_v3_small().state_dict())
