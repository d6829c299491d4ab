import pytest
import torch
from torch import nn

from eca_mm.layers import ECALayer, SELayer
from eca_mm.layers.channel_attention import ChannelAttention

LAYERS = dict(
    eca=lambda: ECALayer(24, kernel_size=5),
    eca_one_weight=lambda: ECALayer(24, kernel_size=1),
    eca_two_convolutions=lambda: ECALayer(24, num_convs=2),
    eca_circular=lambda: ECALayer(24, padding_mode='circular'),
    se=lambda: SELayer(24, reduction=4))


@pytest.mark.parametrize('layer', LAYERS.values(), ids=LAYERS)
def test_written_out_gradients_are_those_of_autograd(layer):
    layer = layer().double()
    y, grad = torch.randn(2, 3, 24, dtype=torch.float64)
    params = list(layer.parameters())
    gate, grad_y, grads = layer.excite_backward(y, grad, params)
    expected = ChannelAttention.excite_backward(layer, y, grad, params)
    torch.testing.assert_close((gate, grad_y, *grads), (expected[0], expected[1], *expected[2]))


def test_eca_computes_what_its_convolution_computes():
    layer, y = ECALayer(64), torch.randn(5, 64)
    expected = layer.conv(y[:, None])[:, 0].sigmoid()
    torch.testing.assert_close(layer.excite(y), expected)


def test_a_hooked_convolution_is_called():
    layer, seen = ECALayer(64), []
    layer.conv.register_forward_hook(lambda module, args, out: seen.append(out.shape))
    layer.excite(torch.randn(2, 64))
    assert seen == [(2, 1, 64)]


def test_another_convolution_in_its_place_is_used():
    layer = ECALayer(8, kernel_size=3)

    class Half(nn.Conv1d):

        def forward(self, x):
            return super().forward(x) / 2

    half = Half(1, 1, 3, padding=1, bias=False)
    half.weight.data.copy_(layer.conv.weight.data)
    y = torch.randn(2, 8)
    logits = torch.logit(layer.excite(y))
    layer.conv = half
    torch.testing.assert_close(torch.logit(layer.excite(y)), logits / 2, rtol=1e-4, atol=1e-5)
