import pytest
import torch

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
