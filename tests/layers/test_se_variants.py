"""SE-Var1 to 3 and SE-GC against Eq. (3) to (5)."""
import numpy as np
import pytest

from eca_mm.layers import SEGCLayer, SEVar1Layer, SEVar2Layer, SEVar3Layer
from tests.support.contract import (
    ChannelAttentionContract,
    assert_equals_the_equation,
    count,
    sigmoid,
)


def linear_gate(matrix_of):
    """The gate ``sigmoid(W y)`` for the C x C matrix of Eq. (4) or (5)."""

    def rescale(x, state):
        return x * sigmoid(x.mean((2, 3)) @ matrix_of(state, x.shape[1]).T)[:, :, None, None]

    return rescale


def block_diagonal(state, channels):
    blocks = state['fc.weight'][:, :, 0]
    size = blocks.shape[1]
    matrix = np.zeros((channels, channels))
    for i in range(channels):
        first = i // size * size
        matrix[i, first:first + size] = blocks[i]
    return matrix


class TestSEVar1(ChannelAttentionContract):
    layer, abbr = SEVar1Layer, 'se_var1'

    def test_parameters(self):
        assert count(SEVar1Layer(24)) == 0

    def test_equals_the_equation(self):
        assert_equals_the_equation(
            self.build(), linear_gate(lambda state, c: np.eye(c)), (3, 16, 4, 5))


class TestSEVar2(ChannelAttentionContract):
    layer, abbr = SEVar2Layer, 'se_var2'

    def test_parameters(self):
        assert count(SEVar2Layer(24)) == 24

    def test_equals_the_equation(self):
        assert_equals_the_equation(
            self.build(), linear_gate(lambda state, c: np.diag(state['weight'])), (3, 16, 4, 5))

    def test_starts_as_var1(self):
        x = self.input()
        assert SEVar2Layer(16)(x).equal(SEVar1Layer(16)(x))


class TestSEVar3(ChannelAttentionContract):
    layer, abbr = SEVar3Layer, 'se_var3'

    def test_parameters(self):
        assert count(SEVar3Layer(24)) == 24**2

    def test_equals_the_equation(self):
        assert_equals_the_equation(
            self.build(), linear_gate(lambda state, c: state['fc.weight']), (3, 16, 4, 5))


class TestSEGC(ChannelAttentionContract):
    layer, abbr, options = SEGCLayer, 'se_gc', dict(groups=4)

    @pytest.mark.parametrize('channels', [256, 512])
    def test_parameters(self, channels):
        assert count(SEGCLayer(channels)) == channels**2 // 16
        assert count(SEGCLayer(channels, 'C/16')) == 16 * channels
        assert count(SEGCLayer(channels, 'C/8')) == 8 * channels

    @pytest.mark.parametrize('groups', [1, 2, 16, 'C/8'])
    def test_equals_the_equation(self, groups):
        assert_equals_the_equation(
            self.build(groups=groups), linear_gate(block_diagonal), (3, 16, 4, 5))

    @pytest.mark.parametrize('groups', [3, 32, 'C/3', 'C/32'])
    def test_groups_must_divide(self, groups):
        with pytest.raises(ValueError, match=r'groups.*16 channels'):
            SEGCLayer(16, groups)

    @pytest.mark.parametrize('groups', [0, -4, 2.0, True, None, 'C/0', '16', 'C/', 'C/x'])
    def test_bad_groups(self, groups):
        with pytest.raises(ValueError, match='groups'):
            SEGCLayer(16, groups)
