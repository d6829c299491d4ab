"""Layers that start as the identity leave a trained network as it was."""
import pytest
import torch

from eca_mm import layers
from eca_mm.backbones import AttentionResNet

OPTIONS = {
    'ECALayer': [{}, {'num_convs': 2}, {'padding_mode': 'circular'}], 'ECANSLayer': [{}],
    'SELayer': [{'reduction': 4}], 'SEVar2Layer': [{}], 'SEVar3Layer': [{}],
    'SEGCLayer': [{'groups': 4}],
}
CASES = [(name, options) for name, several in OPTIONS.items() for options in several]


@pytest.mark.parametrize(('name', 'options'), CASES)
def test_gate_is_exactly_one_and_learns(name, options):
    layer = getattr(layers, name)(16, identity_start=True, **options)
    x = torch.randn(2, 16, 5, 5)
    assert (layer.gate(x) == 1).all() and layer(x).equal(x)
    layer(x).square().sum().backward()
    assert layer.last_weight.grad.any()
    plain = getattr(layers, name)(16, **options)
    assert layer.state_dict().keys() == plain.state_dict().keys()
    assert not (plain.gate(x) == 1).any()


def test_of_several_convolutions_the_last_starts_at_zero():
    layer = layers.ECALayer(16, num_convs=2, identity_start=True)
    assert layer.last_weight is layer.conv[1].weight
    assert not layer.conv[1].weight.any() and layer.conv[0].weight.all()


@pytest.mark.parametrize(('name', 'options'), CASES)
@pytest.mark.parametrize('init_cfg', [None, dict(type='Normal', layer=['Conv1d', 'Linear'], std=1)])
def test_added_to_a_network(name, options, init_cfg):
    small = dict(base_channels=16, stem_channels=8, zero_init_residual=False)
    kwargs = {} if init_cfg is None else {'init_cfg': init_cfg}
    plain = AttentionResNet(18, **small)
    model = AttentionResNet(18, dict(type=name, identity_start=True, **options), **kwargs, **small)
    model.init_weights()
    model.load_state_dict(plain.state_dict(), strict=False)
    x = torch.randn(2, 3, 64, 64)
    for training in (False, True):
        plain.train(training)
        model.train(training)
        torch.testing.assert_close(model(x)[0], plain(x)[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(('name', 'options'), CASES)
def test_gradients_of_the_fused_tail(name, options):
    cfg = dict(type=name, identity_start=True, **options)
    models = [AttentionResNet(18, cfg, base_channels=16, stem_channels=8, fused=fused,
                              zero_init_residual=False).double() for fused in (True, False)]
    models[1].load_state_dict(models[0].state_dict())
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    for model in models:
        model.train()
        model(x)[0].square().mean().backward()
    for a, b in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(a.grad, b.grad)
