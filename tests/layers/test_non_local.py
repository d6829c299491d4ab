"""NonLocalBlock against its equation, timm and mmcv."""
import numpy as np
import pytest
import timm.layers
import torch
from mmcv.cnn.bricks import NonLocal2d

from eca_mm.layers import NonLocalBlock
from tests.support.contract import LayerContract, assert_equals_the_equation, count, softmax


def non_local_numpy(x, state):
    n, c = x.shape[:2]

    def conv(name, y):
        weight, bias = state[f'{name}.conv.weight'][:, :, 0, 0], state[f'{name}.conv.bias']
        return np.einsum('dc,ncp->ndp', weight, y) + bias[:, None]

    positions = x.reshape(n, c, -1)
    theta, phi, g = (conv(name, positions) for name in ('theta', 'phi', 'g'))
    weights = softmax(np.einsum('ndp,ndq->npq', theta, phi) / np.sqrt(theta.shape[1]), 2)
    return x + conv('conv_out', np.einsum('npq,ndq->ndp', weights, g)).reshape(x.shape)


class TestNonLocalBlock(LayerContract):
    layer, abbr, options = NonLocalBlock, 'nonlocal_block', dict(reduction=4)

    @pytest.mark.parametrize('channels,reduction', [(64, 2), (24, 5)])
    def test_parameters(self, channels, reduction):
        h = channels // reduction
        assert count(NonLocalBlock(channels, reduction)) == 4 * channels * h + 3 * h + channels

    def test_equals_the_equation(self):
        assert_equals_the_equation(self.build(), non_local_numpy, (2, 16, 4, 5))

    def test_equals_timm(self):
        layer = self.build(norm_cfg=dict(type='BN'))
        layer.conv_out.conv = torch.nn.Conv2d(4, 16, 1)  # timm's has a bias beside its BN
        other = timm.layers.NonLocalAttn(16, rd_channels=4).eval()
        other.scale = 4**-0.5
        names = {'theta.conv': 't', 'phi.conv': 'p', 'g.conv': 'g', 'conv_out.conv': 'z',
                 'conv_out.bn': 'norm'}
        state = {}
        for key, value in layer.state_dict().items():
            module, name = key.rsplit('.', 1)
            state[f'{names[module]}.{name}'] = value
        other.load_state_dict(state)
        torch.testing.assert_close(layer(self.input()), other(self.input()), rtol=1e-4, atol=1e-5)

    def test_takes_the_weights_of_mmcv(self):
        layer, other = self.build(), NonLocal2d(16, reduction=4)
        other.load_state_dict(layer.state_dict())
        assert layer(self.input()).equal(other(self.input()))

    @pytest.mark.parametrize('mode', ['gaussian', 'dot_product', 'concatenation'])
    @pytest.mark.parametrize('sub_sample', [False, True])
    def test_other_modes_are_those_of_mmcv(self, mode, sub_sample):
        options = dict(reduction=1, mode=mode, sub_sample=sub_sample, zeros_init=False)
        layer, other = NonLocalBlock(8, **options), NonLocal2d(8, **options)
        other.load_state_dict(layer.state_dict())
        x = torch.randn(2, 8, 4, 6)
        assert layer(x).equal(other(x))

    def test_starts_as_the_identity(self):
        assert NonLocalBlock(16)(self.input()).equal(self.input())

    @pytest.mark.parametrize('reduction', [0, 17, 2.0])
    def test_bad_reduction(self, reduction):
        with pytest.raises(ValueError, match='reduction'):
            NonLocalBlock(16, reduction)
