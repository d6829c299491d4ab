"""ECALayer against the paper's equations, timm, and every way people run a layer."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.registry import MODELS
from timm.layers import EcaModule

from eca_mm.benchmark.counting import OperationCounter
from eca_mm.layers import ECALayer, eca_kernel_size
from tests.conftest import needs_half_on_cpu


def eca_numpy(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Eq. (8): every channel looks at its k neighbours; beyond the ends there is nothing."""
    k = len(weight)
    y = x.mean(axis=(2, 3))
    omega = np.zeros_like(y)
    for i in range(y.shape[1]):
        for j in range(k):
            neighbour = i + j - k // 2
            if 0 <= neighbour < y.shape[1]:
                omega[:, i] += weight[j] * y[:, neighbour]
    return x * (1 / (1 + np.exp(-omega)))[:, :, None, None]


class TestKernelSize:

    # Worked out on paper: the logarithm of the channels plus b, over gamma, without its fraction
    # and sign; the next number if that is even. Figure 3 of the paper has the first row.
    @pytest.mark.parametrize(('gamma', 'b', 'table'), [
        (2, 1, {1: 1, 2: 1, 4: 1, 7: 1, 8: 3, 16: 3, 24: 3, 32: 3, 64: 3, 96: 3, 127: 3, 128: 5,
                160: 5, 256: 5, 320: 5, 512: 5, 1024: 5, 1280: 5, 2047: 5, 2048: 7, 4096: 7,
                2**14: 7, 2**15: 9}),
        (1, 1, {1: 1, 2: 3, 64: 7, 128: 9, 256: 9, 512: 11, 2048: 13}),
        (1, 3, {1: 3, 8: 7, 16: 7, 32: 9}),
        (2, 3, {64: 5, 128: 5, 2048: 7}),
        (3, 1, {256: 3, 2048: 5}),
        (4, 1, {64: 1, 128: 3, 2048: 3}),
        (0.5, 0, {1: 1, 2: 3, 64: 13}),
        (2, -5, {2: 3, 8: 1, 32: 1, 128: 1}),
        (2, -9, {2: 5, 8: 3, 512: 1, 2**15: 3}),
    ])
    def test_table(self, gamma, b, table):
        assert {channels: eca_kernel_size(channels, gamma, b) for channels in table} == table

    def test_defaults_are_those_of_the_paper(self):
        assert [eca_kernel_size(channels) for channels in (7, 8, 127, 128, 2047, 2048)] == [
            1, 3, 3, 5, 5, 7]

    @given(st.integers(1, 10**9), st.floats(0.1, 10), st.floats(-5, 5))
    def test_odd(self, channels, gamma, b):
        k = eca_kernel_size(channels, gamma, b)
        assert type(k) is int and k % 2 == 1 and k >= 1

    @given(st.integers(1, 10**9), st.integers(1, 10**9), st.floats(0.1, 10), st.floats(0, 5))
    def test_monotone(self, c1, c2, gamma, b):
        low, high = sorted((c1, c2))
        assert eca_kernel_size(low, gamma, b) <= eca_kernel_size(high, gamma, b)

    @pytest.mark.parametrize('channels', [0, -1, 2.5, '64', None, True])
    def test_bad_channels(self, channels):
        with pytest.raises(ValueError, match='positive integer'):
            eca_kernel_size(channels)

    @pytest.mark.parametrize('gamma', [0, -2, float('nan')])
    def test_bad_gamma(self, gamma):
        with pytest.raises(ValueError, match='gamma'):
            eca_kernel_size(64, gamma=gamma)


class TestECALayer:

    def test_registered_in_the_root(self):
        layer = MODELS.build(dict(type='ECALayer', in_channels=64))
        assert isinstance(layer, ECALayer) and layer.kernel_size == 3 and layer._abbr_ == 'eca'

    @pytest.mark.parametrize('k', [1, 3, 5, 7, 9])
    def test_parameters_are_exactly_k(self, k):
        layer = ECALayer(32, kernel_size=k)
        assert sum(p.numel() for p in layer.parameters()) == k
        assert set(layer.state_dict()) == {'conv.weight'}

    @pytest.mark.parametrize('channels', [8, 16, 128, 512, 2048])
    def test_adaptive(self, channels):
        assert ECALayer(channels).kernel_size == eca_kernel_size(channels)
        assert ECALayer(channels, gamma=1, b=3).kernel_size == eca_kernel_size(channels, 1, 3)

    @pytest.mark.parametrize('shape', [(1, 8, 5, 5), (3, 16, 7, 4), (2, 64, 1, 1), (5, 3, 9, 2)])
    @pytest.mark.parametrize('k', [1, 3, 5, 9])
    def test_equals_the_equation(self, shape, k):
        torch.manual_seed(0)
        layer = ECALayer(shape[1], kernel_size=k).double()
        x = torch.randn(shape, dtype=torch.float64) * 3
        expected = eca_numpy(x.numpy(), layer.conv.weight.detach().numpy().ravel())
        np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-12, atol=1e-14)

    def test_equals_timm(self):
        torch.manual_seed(0)
        layer, timm_layer = ECALayer(64), EcaModule(64)
        timm_layer.load_state_dict(layer.state_dict())
        x = torch.randn(2, 64, 7, 7)
        torch.testing.assert_close(layer(x), timm_layer(x), rtol=1e-6, atol=1e-6)

    def test_gate(self):
        layer = ECALayer(16)
        x = torch.randn(4, 16, 6, 6)
        gate = layer.gate(x)
        assert gate.shape == (4, 16, 1, 1)
        assert (gate > 0).all() and (gate < 1).all()
        torch.testing.assert_close(layer(x), x * gate, rtol=0, atol=0)

    def test_gradcheck(self):
        torch.manual_seed(0)
        layer = ECALayer(6, kernel_size=5).double()
        x = torch.randn(2, 6, 3, 2, dtype=torch.float64, requires_grad=True)
        weight = layer.conv.weight.detach().clone().requires_grad_()

        def call(x, weight):
            return torch.func.functional_call(layer, {'conv.weight': weight}, (x, ))

        assert torch.autograd.gradcheck(call, (x, weight))

    def test_empty_batch(self):
        layer = ECALayer(16)
        x = torch.randn(0, 16, 4, 4, requires_grad=True)
        out = layer(x)
        assert out.shape == (0, 16, 4, 4)
        out.sum().backward()
        assert layer.conv.weight.grad.abs().sum() == 0

    def test_channels_last(self):
        layer = ECALayer(16)
        x = torch.randn(2, 16, 5, 5)
        out = layer(x.to(memory_format=torch.channels_last))
        assert out.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(out, layer(x), rtol=1e-6, atol=1e-6)

    @pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
    def test_autocast(self, dtype):
        if dtype == torch.float16:
            needs_half_on_cpu()
        layer = ECALayer(32)
        x = torch.randn(2, 32, 8, 8)
        with torch.autocast('cpu', dtype=dtype):
            low = layer(x.to(dtype))
        low.sum().backward()
        assert low.dtype == dtype and layer.conv.weight.grad.dtype == torch.float32
        torch.testing.assert_close(low.float(), layer(x), rtol=2e-2, atol=2e-2)

    def test_compile_fullgraph(self):
        layer = ECALayer(16)
        compiled = torch.compile(layer, fullgraph=True, backend='aot_eager')
        x = torch.randn(2, 16, 4, 4)
        torch.testing.assert_close(compiled(x), layer(x), rtol=1e-6, atol=1e-6)

    @pytest.mark.filterwarnings('error::torch.jit.TracerWarning')
    @pytest.mark.filterwarnings('ignore::DeprecationWarning')
    def test_jit_trace_serves_other_sizes(self):
        layer = ECALayer(16).eval()
        traced = torch.jit.trace(layer, torch.randn(2, 16, 4, 4))
        x = torch.randn(3, 16, 9, 5)
        torch.testing.assert_close(traced(x), layer(x), rtol=1e-6, atol=1e-6)

    @pytest.mark.parametrize('k', [0, -3, 2, 4, 3.0, 2.5, '3', 'auto', None, True, (3, )])
    def test_bad_kernel_size(self, k):
        with pytest.raises(ValueError, match='kernel_size'):
            ECALayer(16, kernel_size=k)

    @pytest.mark.parametrize('channels', [0, -8, 1.5, '16', True])
    def test_bad_channels(self, channels):
        with pytest.raises(ValueError, match='in_channels'):
            ECALayer(channels)

    @pytest.mark.parametrize('shape', [(2, 8, 4, 4), (2, 16, 4), (16, ), (2, 16, 4, 4, 4)])
    def test_bad_input(self, shape):
        with pytest.raises(ValueError, match=r'\(N, 16, H, W\)'):
            ECALayer(16)(torch.randn(shape))


class TestGatesOfABatch:
    """A batch is convolved as the rows of one image, in as many as PyTorch convolves itself."""

    # 20480 values at most: one image, one of exactly that size, three, and rows that are too long.
    SIZES = ((1, 24), (20, 1024), (33, 1024), (2, 20481))

    @pytest.mark.parametrize('n, channels', SIZES)
    @pytest.mark.parametrize('kernel_size', [1, 5, 9])
    def test_equals_the_convolution(self, n, channels, kernel_size):
        layer = ECALayer(channels, kernel_size).double()
        y = torch.randn(n, channels, dtype=torch.float64, requires_grad=True)
        grad = torch.randn(n, channels, dtype=torch.float64)
        expected = layer.conv(y[:, None])[:, 0].sigmoid()
        gate = layer.excite(y)
        torch.testing.assert_close(gate, expected)
        wanted = torch.autograd.grad(expected, (y, layer.conv.weight), grad)
        found = torch.autograd.grad(gate, (y, layer.conv.weight), grad)
        written_out = layer.excite_backward(y.detach(), gate.detach(), grad, [layer.conv.weight])
        for grads in (found, (written_out[0], *written_out[1])):
            torch.testing.assert_close(grads, wanted)

    def test_starts_two_operations(self):
        layer, y = ECALayer(64), torch.randn(16, 64)
        with torch.no_grad(), OperationCounter() as counter:
            layer.excite(y)
        assert set(counter.by_name) == {'aten.convolution.default', 'aten.sigmoid.default'}
        assert counter.operations == 2

    def test_rows_apart_in_memory(self):
        layer = ECALayer(16)
        y = torch.randn(16, 5).t()
        torch.testing.assert_close(layer.excite(y), layer.excite(y.contiguous()))

    def test_hooks_of_the_convolution_are_heard(self):
        layer, seen = ECALayer(8), []
        layer.conv.register_forward_hook(lambda *_: seen.append(1))
        layer.excite(torch.randn(2, 8))
        assert seen == [1]
