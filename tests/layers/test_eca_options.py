"""ECALayer with several convolutions (Appendix II) and with circular padding."""
import pytest
import timm.layers
import torch

from eca_mm.layers import ECALayer
from tests.support.contract import (
    ChannelAttentionContract,
    assert_equals_the_equation,
    count,
    sigmoid,
)


def convolve(y, weight, circular):
    out = 0 * y
    for i in range(y.shape[1]):
        for j in range(len(weight)):
            neighbour = i + j - len(weight) // 2
            if circular or 0 <= neighbour < y.shape[1]:
                out[:, i] += weight[j] * y[:, neighbour % y.shape[1]]
    return out


def eca_numpy(circular):

    def rescale(x, state):
        y = x.mean((2, 3))
        for _, weight in sorted(state.items()):
            y = convolve(y, weight.ravel(), circular)
        return x * sigmoid(y)[:, :, None, None]

    return rescale


class TestStackedECA(ChannelAttentionContract):
    layer, abbr, options = ECALayer, 'eca', dict(kernel_size=3, num_convs=2)

    @pytest.mark.parametrize('num_convs', [1, 2, 3])
    def test_parameters(self, num_convs):
        layer = ECALayer(32, 5, num_convs=num_convs)
        assert count(layer) == 5 * num_convs
        expected = {f'conv.{i}.weight' for i in range(num_convs)} if num_convs > 1 else {
            'conv.weight'}
        assert set(layer.state_dict()) == expected

    def test_equals_the_equation(self):
        assert_equals_the_equation(self.build(num_convs=3), eca_numpy(False), (2, 16, 4, 5))

    @pytest.mark.parametrize('num_convs', [0, -1, 1.0, '2', True])
    def test_bad_num_convs(self, num_convs):
        with pytest.raises(ValueError, match='num_convs'):
            ECALayer(16, num_convs=num_convs)


class TestCircularECA(ChannelAttentionContract):
    layer, abbr, options = ECALayer, 'eca', dict(kernel_size=5, padding_mode='circular')

    def test_equals_the_equation(self):
        assert_equals_the_equation(self.build(), eca_numpy(True), (2, 16, 4, 5))

    def test_equals_timm(self):
        layer, other = self.build(), timm.layers.CecaModule(channels=None, kernel_size=5)
        other.load_state_dict(layer.state_dict())
        torch.testing.assert_close(layer(self.input()), other(self.input()), rtol=1e-5, atol=1e-6)

    def test_differs_only_at_the_ends(self):
        circular, zeros = self.build(), self.build(padding_mode='zeros')
        same = circular.gate(self.input()).isclose(zeros.gate(self.input())).flatten(1).all(0)
        assert same.tolist() == [False] * 2 + [True] * 12 + [False] * 2

    def test_more_than_one_turn(self):
        assert ECALayer(4, 9, padding_mode='circular').kernel_size == 9
        with pytest.raises(ValueError, match='kernel_size is 11.*at most 9'):
            ECALayer(4, 11, padding_mode='circular')

    @pytest.mark.parametrize('mode', ['reflect', None, 'zero'])
    def test_bad_padding_mode(self, mode):
        with pytest.raises(ValueError, match='padding_mode'):
            ECALayer(16, padding_mode=mode)
