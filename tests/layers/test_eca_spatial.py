"""ECA with spatial attention against its equations, in both arrangements."""
import numpy as np
import pytest
import torch

from eca_mm.layers import CBAM, ECALayer, ECASpatialLayer
from tests.support.contract import (
    LayerContract,
    assert_equals_the_equation,
    count,
    randomize,
    sigmoid,
    spatial_gate,
)


def eca_gate(x, state):
    """Eq. (8) of ECA-Net: every channel looks at its neighbours; beyond the ends there is none."""
    weight = state['eca.conv.weight'].ravel()
    pad = len(weight) // 2
    y = np.pad(x.mean((2, 3)), ((0, 0), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(y, len(weight), 1)
    return sigmoid(windows @ weight)[:, :, None, None]


def sequential_numpy(x, state):
    x = x * eca_gate(x, state)
    return x * spatial_gate(x, state)


def parallel_numpy(x, state):
    return x * eca_gate(x, state) + x * spatial_gate(x, state)


class TestSequential(LayerContract):
    layer, abbr, options = ECASpatialLayer, 'eca_spatial', {}

    @pytest.mark.parametrize(('channels', 'size', 'expected'), [(64, 7, 103), (2048, 3, 27)])
    def test_parameters(self, channels, size, expected):
        assert count(ECASpatialLayer(channels, spatial_kernel_size=size)) == expected

    @pytest.mark.parametrize(('k', 'size'), [(5, 7), (3, 3)])
    def test_equals_the_equation(self, k, size):
        layer = self.build(kernel_size=k, spatial_kernel_size=size)
        assert_equals_the_equation(layer, sequential_numpy, (3, 16, 6, 5))

    def test_is_eca_and_the_spatial_half_of_cbam(self):
        layer, x = self.build(), self.input()
        eca, cbam = ECALayer(16), randomize(CBAM(16), 3).eval()
        eca.load_state_dict(layer.eca.state_dict())
        cbam.conv.load_state_dict(layer.conv.state_dict())
        cbam.bn.load_state_dict(layer.bn.state_dict())
        attended = eca(x)
        torch.testing.assert_close(layer(x), attended * cbam.spatial_gate(attended))

    @pytest.mark.parametrize(('option', 'value'), [
        ('kernel_size', 4), ('spatial_kernel_size', 4), ('spatial_kernel_size', 0),
        ('spatial_kernel_size', 7.0)])
    def test_bad_options(self, option, value):
        with pytest.raises(ValueError, match='kernel_size'):
            ECASpatialLayer(16, **{option: value})


class TestParallel(LayerContract):
    layer, abbr, options = ECASpatialLayer, 'eca_spatial', dict(parallel=True)

    def test_equals_the_equation(self):
        assert_equals_the_equation(self.build(), parallel_numpy, (3, 16, 6, 5))

    def test_both_arrangements_have_the_same_keys(self):
        assert set(self.build().state_dict()) == set(ECASpatialLayer(16).state_dict())
        assert 'eca.conv.weight' in self.build().state_dict()
