"""Tests that every attention layer must pass, whatever its mechanism."""
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from eca_mm.layers import ChannelAttention
from tests.conftest import needs_half_on_cpu


def randomize(layer: nn.Module, seed: int = 0) -> nn.Module:
    """Give all parameters and BN statistics random values; zeros would hide what a layer does."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in layer.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator).to(parameter) * 0.5
    for module in layer.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator) * 0.1)
            module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
    return layer


def count(layer: nn.Module) -> int:
    """Number of parameters."""
    return sum(p.numel() for p in layer.parameters())


def arrays(layer: nn.Module) -> dict:
    """State of a layer as NumPy arrays."""
    return {name: value.detach().numpy() for name, value in layer.state_dict().items()}


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def batch_norm(x: np.ndarray, state: dict, prefix: str) -> np.ndarray:
    """BN in evaluation mode; channels are axis 1."""
    shape = (1, -1) + (1, ) * (x.ndim - 2)
    mean, var, scale, shift = (state[f'{prefix}.{name}'].reshape(shape) for name in
                               ('running_mean', 'running_var', 'weight', 'bias'))
    return (x - mean) / np.sqrt(var + 1e-5) * scale + shift


def spatial_gate(x: np.ndarray, state: dict) -> np.ndarray:
    """Eq. (3) of CBAM: what a convolution sees of mean and maximum over the channels."""
    kernel = state['conv.weight'][0]
    pad = kernel.shape[-1] // 2
    pooled = np.pad(np.stack([x.mean(1), x.max(1)], 1), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(pooled, kernel.shape[1:], (2, 3))
    spatial = np.einsum('nchwij,cij->nhw', windows, kernel)[:, None]
    return sigmoid(batch_norm(spatial, state, 'bn'))


def assert_equals_the_equation(layer: nn.Module, expected, shape: tuple) -> None:
    """Compare with ``expected(x, state)`` in NumPy, double precision, evaluation mode."""
    layer = randomize(layer).double().eval()
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 2
    np.testing.assert_allclose(
        layer(x).detach().numpy(), expected(x.numpy(), arrays(layer)), rtol=1e-9, atol=1e-11)


class LayerContract:
    """Tests for one layer; a subclass names it and adds those of its mechanism.

    Attributes:
        layer (type): The class.
        abbr (str): Its name in checkpoints.
        options (dict): What it is built with here.
        shape (tuple): Shape of the input.
        other_shape (tuple): Another shape that a traced layer must take.
    """

    layer: type
    abbr: str
    options: dict = {}
    shape = (2, 16, 5, 6)
    other_shape = (3, 16, 7, 4)

    def build(self, **options) -> nn.Module:
        return randomize(self.layer(self.shape[1], **(self.options | options))).eval()

    def input(self, **kwargs) -> torch.Tensor:
        return torch.randn(self.shape, generator=torch.Generator().manual_seed(2), **kwargs)

    def test_registered_in_the_root(self):
        cfg = dict(type=self.layer.__name__, in_channels=self.shape[1], **self.options)
        assert type(MODELS.build(cfg)) is self.layer
        assert self.layer._abbr_ == self.abbr

    def test_gradcheck(self):
        layer = self.build().double()
        x = self.input(dtype=torch.float64).requires_grad_()
        parameters = dict(layer.named_parameters())

        def call(x, *values):
            return torch.func.functional_call(layer, dict(zip(parameters, values, strict=True)), x)

        assert torch.autograd.gradcheck(call, (x, *parameters.values()), fast_mode=True)

    def test_empty_batch(self):
        layer = self.build()
        x = torch.randn(0, *self.shape[1:], requires_grad=True)
        out = layer(x)
        assert out.shape == x.shape
        out.sum().backward()
        for parameter in layer.parameters():
            assert parameter.grad is not None and not parameter.grad.any()

    def test_channels_last(self):
        layer, x = self.build(), self.input()
        out = layer(x.to(memory_format=torch.channels_last))
        torch.testing.assert_close(out, layer(x), rtol=1e-5, atol=1e-5)
        assert out.is_contiguous(memory_format=torch.channels_last)

    @pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
    def test_autocast(self, dtype):
        if dtype == torch.float16:
            needs_half_on_cpu()
        layer, x = self.build(), self.input().requires_grad_()
        with torch.autocast('cpu', dtype=dtype):
            low = layer(x.to(dtype))
        assert low.dtype == dtype
        low.float().sum().backward()
        assert all(p.grad.dtype == torch.float32 for p in layer.parameters())
        error = (low.float() - layer(x)).abs().max() / layer(x).abs().max()
        assert error < (0.01 if dtype == torch.float16 else 0.08)

    def test_compile_fullgraph(self):
        layer, x = self.build(), self.input()
        # All layers share one forward, which Dynamo otherwise counts as recompilations of it.
        torch._dynamo.reset()
        compiled = torch.compile(layer, fullgraph=True, backend='aot_eager')
        torch.testing.assert_close(compiled(x), layer(x), rtol=1e-5, atol=1e-5)

    @pytest.mark.filterwarnings('error::torch.jit.TracerWarning')
    @pytest.mark.filterwarnings('ignore::DeprecationWarning')
    def test_jit_trace_serves_other_sizes(self):
        layer = self.build()
        traced = torch.jit.trace(layer, self.input())
        x = torch.randn(self.other_shape)
        torch.testing.assert_close(traced(x), layer(x), rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize('channels', [0, -8, 1.5, '16', True])
    def test_bad_channels(self, channels):
        with pytest.raises(ValueError, match='in_channels'):
            self.layer(channels, **self.options)

    def test_bad_input(self):
        n, c, h, w = self.shape
        for shape in ((n, c + 1, h, w), (n, c, h), (c, ), (n, c, h, w, 2)):
            with pytest.raises(ValueError, match=rf'\(N, {c}, H, W\)'):
                self.build()(torch.randn(shape))


class ChannelAttentionContract(LayerContract):
    """Tests for one layer that implements nothing but ``excite``."""

    def test_gate(self):
        assert issubclass(self.layer, ChannelAttention)
        assert 'gate' not in vars(self.layer) and 'forward' not in vars(self.layer)
        layer, x = self.build(), self.input()
        gate = layer.gate(x)
        assert gate.shape == (*x.shape[:2], 1, 1) and (gate > 0).all() and (gate < 1).all()
        assert layer(x).equal(x * gate)
