"""The recorded channel weights are the computed ones, in every form of the blocks."""
import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from eca_mm.backbones import AttentionMobileNetV2, AttentionResNet, ECAMobileNetV2, ECAResNet
from eca_mm.layers import SELayer
from eca_mm.layers.channel_attention import supports_fused_tail
from eca_mm.utils.errors import UserError
from eca_mm.visualization.gates import channel_attentions, choose, record_gates

SE = dict(type='SELayer', reduction=4)


def small_resnet(depth=50, **kwargs):
    """A ResNet with few channels, whose BN has seen something."""
    kwargs.setdefault('attention', SE)
    model = AttentionResNet(depth, stem_channels=8, base_channels=8, norm_eval=False, **kwargs)
    with torch.no_grad():
        model.train()(torch.randn(4, 3, 64, 64))
    return model.eval()


def expected_gates(model, x):
    """Averages and weights of every block, from the maps that its last normalisation outputs."""
    maps = []
    hooks = [norm.register_forward_hook(lambda module, args, out: maps.append(out))
             for norm in (getattr(block, block.norm3_name) for name in model.res_layers
                          for block in getattr(model, name))]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return [(out.mean((2, 3)), layer.excite(out.mean((2, 3))))
            for out, layer in zip(maps, channel_attentions(model).values(), strict=True)]


def test_resnet50_has_the_names_of_the_paper():
    names = list(channel_attentions(ECAResNet(50)))
    assert names == [f'conv_{stage}_{block + 1}'
                     for stage, blocks in zip((2, 3, 4, 5), (3, 4, 6, 3), strict=True)
                     for block in range(blocks)]


def test_mobilenet_v2_counts_its_bottlenecks():
    names = list(channel_attentions(ECAMobileNetV2()))
    assert (len(names), names[0], names[-1]) == (17, 'bottleneck_1_1', 'bottleneck_7_1')
    assert names[3] == 'bottleneck_3_1'


def test_plugin_of_mmdet_has_the_same_names():
    backbone = MODELS.build(dict(
        type='mmdet.ResNet', depth=50, base_channels=8, stem_channels=8,
        plugins=[dict(cfg=dict(type='ECALayer'), position='after_conv3')]))
    assert list(channel_attentions(backbone)) == list(channel_attentions(ECAResNet(50)))


def test_attentions_elsewhere_go_by_their_path():
    model = nn.ModuleDict({'layer1': nn.Sequential(nn.Sequential(SELayer(16), SELayer(16))),
                           'neck': SELayer(16)})
    assert list(channel_attentions(model)) == ['layer1.0.0', 'layer1.0.1', 'neck']


@pytest.mark.parametrize('deploy', [False, True])
def test_what_is_heard_is_what_is_computed(deploy):
    model = small_resnet()
    x = torch.randn(2, 3, 64, 64)
    expected = expected_gates(model, x)
    if deploy:
        model.switch_to_deploy()
    with torch.no_grad(), record_gates(model) as records:
        model(x)
    assert len(records) == 16
    for heard, right in zip(records.values(), expected, strict=True):
        torch.testing.assert_close(heard[0], right[0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(heard[1], right[1], rtol=1e-4, atol=1e-5)


def test_the_fused_form_of_training_is_heard_too():
    model = small_resnet().train()
    x = torch.randn(2, 3, 64, 64)
    with record_gates(model) as fused:
        model(x)
    for block in model.modules():
        block.fused = False
    with record_gates(model) as plain:
        model(x)
    assert len(fused) == 16
    for a, b in zip(fused.values(), plain.values(), strict=True):
        torch.testing.assert_close(a[1], b[1], rtol=1e-4, atol=1e-5)


def test_listening_changes_nothing_and_ends():
    model = AttentionMobileNetV2(attention=SE, widen_factor=.25).eval()
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        before = model(x)[0]
        with record_gates(model):
            assert all(map(supports_fused_tail, channel_attentions(model).values()))
            assert torch.equal(model(x)[0], before)
    assert not any('excite' in vars(layer) for layer in channel_attentions(model).values())


def test_model_without_channel_attention_is_named():
    with pytest.raises(UserError, match='no channel attention'):
        channel_attentions(AttentionResNet(18))


def test_choice_of_blocks():
    assert choose(['a', 'b'], None) == ['a', 'b']
    assert choose(['a', 'b'], ['b', 'b']) == ['b']
    with pytest.raises(UserError, match="'c'; the blocks are a, b"):
        choose(['a', 'b'], ['a', 'c'])
