import pytest
import torch
from torch import nn

from eca_mm.layers import ECALayer, SELayer
from eca_mm.layers.channel_attention import ChannelAttention, supports_fused_tail


class SquaredECA(ECALayer):

    def excite(self, y):
        return super().excite(y)**2


class SquaredSE(SELayer):

    def excite(self, y):
        return super().excite(y)**2


def with_part(layer, name, part):
    setattr(layer, name, part)
    return layer


LAYERS = dict(
    eca=lambda: ECALayer(24, kernel_size=5),
    eca_one_weight=lambda: ECALayer(24, kernel_size=1),
    eca_two_convolutions=lambda: ECALayer(24, num_convs=2),
    eca_circular=lambda: ECALayer(24, padding_mode='circular'),
    se=lambda: SELayer(24, reduction=4),
    eca_overridden=lambda: SquaredECA(24),
    se_overridden=lambda: SquaredSE(24, reduction=4),
    eca_other_convolution=lambda: with_part(ECALayer(24), 'conv', nn.Conv1d(1, 1, 3, padding=1)),
    eca_other_size=lambda: with_part(
        ECALayer(24), 'conv', nn.Conv1d(1, 1, 5, padding=2, bias=False)),
    se_with_bias=lambda: with_part(SELayer(24, reduction=4), 'fc2', nn.Linear(6, 24)))


@pytest.mark.parametrize('layer', LAYERS.values(), ids=LAYERS)
def test_written_out_gradients_are_those_of_autograd(layer):
    layer = layer().double()
    y, grad = torch.randn(2, 3, 24, dtype=torch.float64)
    params = list(layer.parameters())
    gate = layer.excite(y).detach()
    grad_y, grads = layer.excite_backward(y, gate, grad, params)
    expected = ChannelAttention.excite_backward(layer, y, gate, grad, params)
    torch.testing.assert_close((grad_y, *grads), (expected[0], *expected[1]))


def test_what_somebody_replaces_on_the_layer_is_called():
    layer = ECALayer(8)
    assert supports_fused_tail(layer) and not supports_fused_tail(nn.Identity())
    for name in ('gate', 'forward'):
        layer = ECALayer(8)
        setattr(layer, name, lambda x: x)
        assert not supports_fused_tail(layer)
