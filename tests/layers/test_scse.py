"""scSE against its equations and the two halves that it is made of."""
import numpy as np
import pytest
import torch

from eca_mm.layers import SCSELayer, SELayer
from tests.support.contract import LayerContract, assert_equals_the_equation, count, sigmoid


def scse_numpy(x, state):
    hidden = (x.mean((2, 3)) @ state['se.fc1.weight'].T).clip(0)
    channel = sigmoid(hidden @ state['se.fc2.weight'].T)[:, :, None, None]
    spatial = sigmoid(np.einsum('nchw,c->nhw', x, state['conv.weight'].ravel()))[:, None]
    return x * channel + x * spatial


class TestSCSELayer(LayerContract):
    layer, abbr, options = SCSELayer, 'scse', dict(reduction=4)

    @pytest.mark.parametrize(('channels', 'reduction', 'expected'), [
        (64, 16, 576), (64, 2, 4160), (24, 5, 216)])
    def test_parameters(self, channels, reduction, expected):
        assert count(SCSELayer(channels, reduction)) == expected

    def test_equals_the_equation(self):
        assert_equals_the_equation(self.build(), scse_numpy, (3, 16, 4, 5))

    def test_its_channel_half_is_se(self):
        layer, x = self.build(), self.input()
        se = SELayer(16, 4)
        se.load_state_dict(layer.se.state_dict())
        torch.testing.assert_close(layer(x), se(x) + x * layer.spatial_gate(x))

    @pytest.mark.parametrize('reduction', [0, 17, 2.5])
    def test_bad_reduction(self, reduction):
        with pytest.raises(ValueError, match='reduction'):
            SCSELayer(16, reduction)
