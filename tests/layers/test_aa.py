"""AAConv2d against the paper's equations, and in AttentionResNet."""
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from eca_mm.backbones import AttentionResNet
from eca_mm.layers import AAConv2d
from tests.support.contract import LayerContract, count, randomize, softmax

PAPER = [None, dict(type='AAConv2d', map_size=28, downsample=2),
         dict(type='AAConv2d', map_size=14), dict(type='AAConv2d', map_size=7)]


def attention_numpy(x, state, heads):
    """Every query against every key, one at a time."""
    n, _, h, w = x.shape
    values = state['out.weight'].shape[0]
    qkv = np.einsum('dc,nchw->ndhw', state['qkv.weight'][:, :, 0, 0], x)
    keys = (qkv.shape[1] - values) // 2
    q, k = (part.reshape(n, heads, -1, h, w) for part in (qkv[:, :keys], qkv[:, keys:2 * keys]))
    v = qkv[:, 2 * keys:].reshape(n, heads, -1, h * w)
    up, left = (len(state[name]) // 2 for name in ('rel_height', 'rel_width'))
    out = np.empty((n, heads, v.shape[2], h, w))
    for i in range(h):
        for j in range(w):
            logits = np.empty((n, heads, h, w))
            for y in range(h):
                for z in range(w):
                    relative = (state['rel_height'][y - i + up] + state['rel_width'][z - j + left])
                    key = k[..., y, z] + relative
                    logits[:, :, y, z] = (q[..., i, j] * key).sum(-1) / np.sqrt(keys / heads)
            weights = softmax(logits.reshape(n, heads, h * w), 2)
            out[..., i, j] = np.einsum('ndp,ndvp->ndv', weights, v)
    out = out.reshape(n, values, h, w)
    return np.einsum('dc,nchw->ndhw', state['out.weight'][:, :, 0, 0], out)


class TestAAConv2d(LayerContract):
    layer = AAConv2d
    options = dict(out_channels=16, map_size=(7, 6), num_heads=2, value_ratio=0.3)
    shape = (2, 8, 5, 6)
    other_shape = (3, 8, 7, 4)

    def test_registered_in_the_root(self):
        """It is a convolution, so it has no name as a plugin."""
        assert not hasattr(AAConv2d, '_abbr_')

    def test_empty_batch(self):
        out = self.build()(torch.randn(0, 8, 5, 6, requires_grad=True))
        assert out.shape == (0, 16, 5, 6)
        out.sum().backward()

    def test_channels_last(self):
        """The same values; the concatenation of convolution and attention is not channels-last."""
        layer, x = self.build(), self.input()
        out = layer(x.to(memory_format=torch.channels_last))
        torch.testing.assert_close(out, layer(x), rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize('stride', [1, 2])
    @pytest.mark.parametrize('downsample', [1, 2])
    def test_parameters(self, stride, downsample):
        layer = AAConv2d(128, 256, (28, 14), stride=stride, downsample=downsample)
        keys, values = 160, 24
        distances = (2 * 28 // downsample - 1) + (2 * 14 // downsample - 1)
        expected = 9 * 128 * (256 - values) + 128 * (2 * keys + values) + values**2
        assert count(layer) == expected + distances * keys // 8

    @pytest.mark.parametrize('kernel_size,dilation', [(3, 1), (5, 1), (3, 2)])
    def test_equals_the_equation(self, kernel_size, dilation):
        layer = self.build(kernel_size=kernel_size, dilation=dilation).double()
        x = self.input(dtype=torch.float64)
        out = layer(x).detach()
        assert out[:, :12].equal(layer.conv(x))
        state = {name: value.numpy() for name, value in layer.state_dict().items()}
        expected = attention_numpy(x.numpy(), state, 2)
        np.testing.assert_allclose(out[:, 12:].numpy(), expected, rtol=1e-9, atol=1e-11)

    @pytest.mark.parametrize('stride,downsample', [(2, 1), (1, 2), (2, 2)])
    def test_pools_before_attending(self, stride, downsample):
        layer = self.build(stride=stride, downsample=downsample).double()
        x = torch.randn(2, 8, 6, 10 // downsample, dtype=torch.float64)
        pooled = x
        for _ in range(stride * downsample // 2):
            counted = F.avg_pool2d(torch.ones_like(pooled), 3, 2, 1)
            pooled = F.avg_pool2d(pooled, 3, 2, 1) / counted
        state = {name: value.numpy() for name, value in layer.state_dict().items()}
        attended = torch.from_numpy(attention_numpy(pooled.numpy(), state, 2))
        convolved = layer.conv(x)
        if downsample == 2:
            attended = F.interpolate(attended, convolved.shape[2:], mode='bilinear')
        torch.testing.assert_close(layer(x), torch.cat([convolved, attended], 1))

    def test_positions_matter(self):
        """Without distances a permutation of the map permutes the attention, else it does not."""
        layer, x = self.build(), self.input()
        permuted = layer.attend(x.flip(3)).flip(3)
        assert not permuted.allclose(layer.attend(x), atol=1e-3)
        layer.rel_height.data.zero_()
        layer.rel_width.data.zero_()
        torch.testing.assert_close(layer.attend(x.flip(3)).flip(3), layer.attend(x), rtol=1e-4,
                                   atol=1e-5)

    @pytest.mark.parametrize('options', [dict(map_size=None), dict(map_size=(7, )),
                                         dict(map_size='77'), dict(stride=3), dict(downsample=4),
                                         dict(num_heads=0), dict(kernel_size=2)])
    def test_bad_options(self, options):
        with pytest.raises(ValueError, match=next(iter(options))):
            self.build(**options)

    def test_no_channel_left_for_the_convolution(self):
        with pytest.raises(ValueError, match='8 heads alone make 8 channels'):
            AAConv2d(8, 8, 7)

    def test_map_too_large(self):
        with pytest.raises(ValueError, match=r'up to \(7, 6\).*\(5, 7\)'):
            self.build()(torch.randn(1, 8, 5, 7))


class TestInResNet:

    @pytest.mark.parametrize('depth,millions', [(50, 25.81), (101, 45.39)])
    def test_published_size(self, depth, millions):
        model = AttentionResNet(depth, conv2_cfg=PAPER)
        assert round((count(model) + 2049 * 1000) / 1e6, 2) == millions

    def test_replaces_the_3x3_convolutions(self):
        configs = [None, None, dict(type='AAConv2d', map_size=4, num_heads=2),
                   dict(type='AAConv2d', map_size=4, num_heads=2)]
        model = AttentionResNet(50, conv2_cfg=configs, base_channels=8, strides=(1, 2, 2, 1),
                                dilations=(1, 1, 1, 2), frozen_stages=3)
        # What is frozen must have been loaded.
        model.load_state_dict(model.state_dict())
        replaced = {name for name, m in model.named_modules() if isinstance(m, AAConv2d)}
        assert replaced == {f'layer{stage}.{i}.conv2' for stage, blocks in ((3, 6), (4, 3))
                            for i in range(blocks)}
        assert model.layer4[1].conv2.conv.dilation == (2, 2)
        assert not any(p.requires_grad for p in model.layer3.parameters())
        out = randomize(model)(torch.randn(2, 3, 64, 64))[0]
        out.sum().backward()
        assert out.shape == (2, 256, 4, 4)
        assert all(p.grad.any() for p in model.layer4[1].conv2.parameters())

    def test_basic_blocks_have_no_bottleneck(self):
        with pytest.raises(ValueError, match='depth 18 does not have'):
            AttentionResNet(18, conv2_cfg=PAPER)

    def test_one_entry_per_stage(self):
        with pytest.raises(ValueError, match='conv2_cfg has 3 entries.*4 stages'):
            AttentionResNet(50, conv2_cfg=PAPER[:3])
