"""ECANSLayer against Eq. (7)."""
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from eca_mm.layers import ECALayer, ECANSLayer, eca_kernel_size
from tests.support.contract import (
    ChannelAttentionContract,
    assert_equals_the_equation,
    count,
    sigmoid,
)


def eca_ns_numpy(x, state):
    weight, y = state['weight'], x.mean((2, 3))
    omega = 0 * y
    for i in range(y.shape[1]):
        for j in range(len(weight)):
            neighbour = i + j - len(weight) // 2
            if 0 <= neighbour < y.shape[1]:
                omega[:, i] += weight[j, i] * y[:, neighbour]
    return x * sigmoid(omega)[:, :, None, None]


class LargestTensor(TorchDispatchMode):
    """Remembers the number of elements of the largest tensor that any operation returns."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.numel = max(self.numel, out.numel())
        return out


class TestECANSLayer(ChannelAttentionContract):
    layer, abbr, options = ECANSLayer, 'eca_ns', dict(kernel_size=5)

    @pytest.mark.parametrize('k', [1, 3, 9])
    def test_parameters(self, k):
        assert count(ECANSLayer(24, k)) == 24 * k

    def test_adaptive(self):
        assert ECANSLayer(512).kernel_size == eca_kernel_size(512)

    @pytest.mark.parametrize('k', [1, 3, 9])
    def test_equals_the_equation(self, k):
        assert_equals_the_equation(self.build(kernel_size=k), eca_ns_numpy, (3, 16, 4, 5))

    def test_shared_weights_are_eca(self):
        layer, eca = self.build(), ECALayer(16, 5)
        layer.weight.data = eca.conv.weight.data.flatten()[:, None].expand(5, 16)
        torch.testing.assert_close(layer(self.input()), eca(self.input()), rtol=1e-6, atol=1e-6)

    def test_no_unfold(self):
        """Neighbours are views: nothing is larger than the means with their padding."""
        with torch.no_grad(), LargestTensor() as largest:
            ECANSLayer(64, 9).excite(torch.randn(16, 64))
        assert largest.numel == 16 * (64 + 8)

    @pytest.mark.parametrize('k', [0, 2, -3, 3.0, 'auto', None, True])
    def test_bad_kernel_size(self, k):
        with pytest.raises(ValueError, match='kernel_size'):
            ECANSLayer(16, k)
