"""Weights of timm compute here what they compute there."""
import pytest
import timm
import torch
from mmpretrain.registry import MODELS
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import nn

from eca_mm.checkpoints.converters.ecanet import from_ecanet
from eca_mm.checkpoints.converters.timm import from_timm, names_for_timm
from eca_mm.checkpoints.keys import MisfitError
from eca_mm.utils.errors import UserError
from tests.support.catalog import load
from tests.support.timm_models import CLASSIFIERS


def randomised(model: nn.Module) -> nn.Module:
    """Random norms and statistics; the last norm of a branch is small, or depth makes chaos."""
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            low, high = (0.1, 0.3) if name.endswith('bn3') else (0.5, 1.5)
            nn.init.uniform_(module.weight, low, high)
            nn.init.uniform_(module.bias, -0.2, 0.2)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
        elif isinstance(module, nn.Conv1d):
            nn.init.normal_(module.weight)
    return model


def build(conversion) -> nn.Module:
    config = load(conversion.base)
    config.merge_from_dict(conversion.changes)
    config.merge_from_dict(dict(model=dict(backbone=dict(out_indices=(0, 1, 2, 3)))))
    model = MODELS.build(config.model)
    model.load_state_dict(conversion.weights, strict=True)
    return model


def assert_same_outputs(theirs, ours, images, tolerance):
    """The four feature levels and the logits agree, relative to the largest of each."""
    expected = theirs.forward_intermediates(images, intermediates_only=True)[-4:]
    expected.append(theirs.forward_head(expected[-1]))
    found = list(ours.backbone(images))
    assert len(found) == 4
    found.append(ours.head(ours.neck(tuple(found))))
    for one, other in zip(expected, found, strict=True):
        assert one.shape == other.shape
        assert (one - other).abs().max() <= tolerance * one.abs().max()


@pytest.mark.parametrize(('model', 'name'), [
    (model, name) if model in ('eca-resnet26t', 'eca-resnet50d-pruned')
    else pytest.param(model, name, marks=pytest.mark.slow) for model, name in CLASSIFIERS.items()])
def test_same_outputs(model, name):
    theirs = randomised(timm.create_model(name))
    conversion = from_timm(theirs.state_dict())
    assert (conversion.base, conversion.changes) == (f'timm_eca_resnet/{model}_8xb32_in1k.py', {})
    ours = build(conversion)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert_same_outputs(theirs.eval(), ours.eval(), images, 1e-5)
        assert_same_outputs(theirs.double().train(), ours.double().train(), images.double(), 1e-9)


@pytest.mark.parametrize(('changes', 'expected'), [
    (dict(num_classes=10), dict(head=dict(num_classes=10))),
    (dict(stem_width=16), dict(backbone=dict(
        type='ECAResNetD', depth=26, kernel_size='adaptive', stem_channels=32,
        stem_widths=(16, 16)))),
    (dict(avg_down=False, cardinality=16, base_width=8), dict(backbone=dict(
        type='ECAResNetD', depth=26, kernel_size='adaptive', avg_down=False, groups=16,
        width_per_group=8))),
])
def test_networks_without_a_config(changes, expected):
    options = dict(stem_width=32, stem_type='deep', avg_down=True,
                   block_args=dict(attn_layer='eca'))
    theirs = randomised(ResNet(Bottleneck, (2, 2, 2, 2), **{**options, **changes})).eval()
    conversion = from_timm(theirs.state_dict())
    assert conversion.base == 'timm_eca_resnet/eca-resnet50d_8xb32_in1k.py'
    model = {**conversion.changes['model']}
    model.get('backbone', {}).pop('_delete_', None)
    for key, value in expected.items():
        assert model[key] == value
    assert '8xb32_in1k' in conversion.config_text()
    with torch.no_grad():
        assert_same_outputs(theirs, build(conversion).eval(), torch.randn(1, 3, 64, 64), 1e-5)


@pytest.mark.parametrize(('block', 'blocks', 'config'), [
    (BasicBlock, (2, 2, 2, 2), 'eca_resnet/eca-resnet18_4xb64_in1k.py'),
    (Bottleneck, (3, 4, 6, 3), 'eca_resnet/eca-resnet50_4xb64_in1k.py'),
])
def test_plain_stem_and_shortcuts_are_the_papers_network(block, blocks, config):
    conversion = from_timm(ResNet(block, blocks, block_args=dict(attn_layer='eca')).state_dict())
    assert (conversion.base, conversion.changes) == (config, {})


@pytest.mark.parametrize(('block', 'blocks', 'options', 'expected'), [
    (Bottleneck, (3, 4, 6, 3), dict(base_width=128), dict(
        depth=50, base_channels=128, expansion=2)),
    (Bottleneck, (3, 4, 6, 3), dict(base_width=16), dict(
        depth=50, base_channels=16, expansion=16)),
    (Bottleneck, (3, 24, 36, 3), dict(base_width=8), dict(
        depth=200, base_channels=8, expansion=32)),
])
@pytest.mark.parametrize('form', ['timm', pytest.param('authors', marks=pytest.mark.slow)])
def test_plain_networks_of_other_widths_and_depths(block, blocks, options, expected, form):
    theirs = randomised(ResNet(block, blocks, block_args=dict(attn_layer='eca'), **options)).eval()
    weights = theirs.state_dict()
    if form == 'authors':
        conversion = from_ecanet({name.replace('.se.', '.eca.'): value
                                  for name, value in weights.items()})
    else:
        conversion = from_timm(weights)
    backbone = conversion.changes['model']['backbone']
    assert backbone == dict(
        _delete_=True, type='ECAResNet', kernel_size='adaptive', **expected)
    assert 'eca_mm::eca_resnet/eca-resnet' in conversion.config_text()
    with torch.no_grad():
        assert_same_outputs(theirs, build(conversion).eval(), torch.randn(1, 3, 64, 64), 1e-4)


def test_another_attention_is_named_as_the_file_does():
    weights = ResNet(BasicBlock, (1, 1, 1, 1), block_args=dict(attn_layer='se')).state_dict()
    with pytest.raises(UserError, match=r'layer1\.0\.se\.fc1\.weight'):
        from_timm(weights)


@pytest.mark.parametrize('name', ['ecaresnet26t', 'ecaresnetlight'])
def test_there_and_back_again(name):
    weights = timm.create_model(name).state_dict()
    converted = from_timm(weights).weights
    back = {theirs: converted[ours] for ours, theirs in names_for_timm(converted).items()}
    assert list(back) == list(weights)
    assert all(torch.equal(back[key], weights[key]) for key in weights)
    assert list(from_timm(back).weights) == list(converted)


def test_training_checkpoint_gives_averaged_weights():
    weights = timm.create_model('ecaresnet26t').state_dict()
    averaged = {f'module.{name}': value + 1 for name, value in weights.items()}
    conversion = from_timm(dict(arch='x', epoch=3, state_dict=weights, state_dict_ema=averaged))
    assert torch.equal(conversion.weights['head.fc.bias'], weights['fc.bias'] + 1)
    assert conversion.notes == ('The averaged weights (state_dict_ema) were taken.',)


def test_features_without_classifier():
    conversion = from_timm(timm.create_model('ecaresnet26t', num_classes=0).state_dict())
    assert not any(name.startswith('head.') for name in conversion.weights)
    assert 'no classifier' in conversion.notes[0]


@pytest.mark.parametrize(('change', 'kind', 'name'), [
    (lambda w: w.pop('layer2.1.bn2.bias'), 'missing', 'backbone.layer2.1.bn2.bias'),
    (lambda w: w.pop('layer1.0.conv1.weight'), 'missing', 'backbone.layer1.0.conv1.weight'),
    (lambda w: w.update({'aux.weight': torch.ones(1)}), 'unexpected', 'backbone.aux.weight'),
    (lambda w: w.update({'layer1.0.conv3.weight': torch.ones(64, 256, 1, 1)}), 'wrong_shape',
     'backbone.layer1.0.conv3.weight 64x256x1x1, not 256x64x1x1'),
    (lambda w: w.update({'fc.bias': torch.ones(1000, dtype=torch.int64)}), 'wrong_shape',
     'head.fc.bias torch.int64, not torch.float32'),
])
def test_misfits_are_listed(change, kind, name):
    weights = timm.create_model('ecaresnet26t').state_dict()
    change(weights)
    with pytest.raises(MisfitError) as info:
        from_timm(weights)
    assert getattr(info.value.report, kind) == [name]


@pytest.mark.parametrize(('checkpoint', 'message'), [
    ({}, 'no weights'),
    (dict(epoch=3), 'int under .epoch.'),
    (dict(state_dict={'a.weight': torch.ones(1)}), r'not a ResNet of four stages .* a\.weight'),
    ({'module.x': torch.ones(1), 'x': torch.ones(1)}, "'x' twice"),
])
def test_other_files_are_refused(checkpoint, message):
    with pytest.raises(UserError, match=message):
        from_timm(checkpoint)


def test_kernel_sizes_that_differ_within_a_stage_are_refused():
    weights = timm.create_model('ecaresnet26t').state_dict()
    weights['layer3.1.se.conv.weight'] = torch.ones(1, 1, 9)
    with pytest.raises(UserError, match='stage 3 have kernel sizes 5, 9'):
        from_timm(weights)
