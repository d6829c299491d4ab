"""GCBlock against GCNet's equation, timm, mmcv and the published model size."""
import numpy as np
import pytest
import timm.layers
import torch
from mmcv.cnn.bricks import ContextBlock

from eca_mm.backbones import AttentionResNet
from eca_mm.layers import GCBlock
from tests.support.contract import LayerContract, assert_equals_the_equation, count, softmax


def gc_numpy(x, state):
    n, c = x.shape[:2]
    positions = x.reshape(n, c, -1)
    mask = np.einsum('c,ncp->np', state['conv_mask.weight'].ravel(), positions)
    context = np.einsum('np,ncp->nc', softmax(mask + state['conv_mask.bias'], 1), positions)
    v1, norm, v2 = (f'channel_add_conv.{i}' for i in (0, 1, 3))
    y = context @ state[f'{v1}.weight'][:, :, 0, 0].T + state[f'{v1}.bias']
    y = (y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 1e-5)
    y = (y * state[f'{norm}.weight'].ravel() + state[f'{norm}.bias'].ravel()).clip(0)
    return x + (y @ state[f'{v2}.weight'][:, :, 0, 0].T + state[f'{v2}.bias'])[:, :, None, None]


class TestGCBlock(LayerContract):
    layer, abbr, options = GCBlock, 'context_block', dict(reduction=4)

    @pytest.mark.parametrize('channels,reduction', [(256, 16), (49, 49), (100, 16), (24, 5)])
    def test_parameters(self, channels, reduction):
        h = channels // reduction
        assert count(GCBlock(channels, reduction)) == 2 * channels * h + 2 * channels + 3 * h + 1

    def test_equals_the_equation(self):
        assert_equals_the_equation(self.build(), gc_numpy, (3, 16, 4, 5))

    def test_equals_timm(self):
        layer = self.build()
        other = timm.layers.GlobalContext(16, fuse_add=True, fuse_scale=False, rd_ratio=1 / 4)
        other.mlp_add.norm.eps = 1e-5
        names = {'conv_mask': 'conv_attn', 'channel_add_conv.0': 'mlp_add.fc1',
                 'channel_add_conv.1': 'mlp_add.norm', 'channel_add_conv.3': 'mlp_add.fc2'}
        state = {}
        for key, value in layer.state_dict().items():
            module, name = key.rsplit('.', 1)
            is_norm = module == 'channel_add_conv.1'
            state[f'{names[module]}.{name}'] = value.flatten() if is_norm else value
        other.load_state_dict(state)
        torch.testing.assert_close(layer(self.input()), other(self.input()), rtol=1e-5, atol=1e-5)

    def test_takes_the_weights_of_mmcv(self):
        layer, other = self.build(), ContextBlock(16, 1 / 4)
        other.load_state_dict(layer.state_dict())
        assert layer(self.input()).equal(other(self.input()))

    def test_starts_as_the_identity(self):
        assert GCBlock(16)(self.input()).equal(self.input())

    @pytest.mark.parametrize('reduction', [0, 17, 0.25])
    def test_bad_reduction(self, reduction):
        with pytest.raises(ValueError, match='reduction'):
            GCBlock(16, reduction)


def test_published_size():
    """GCNet: r = 16 in every block of c3 to c5 of ResNet-50."""
    gc = dict(type='GCBlock')
    assert count(AttentionResNet(50, [None, gc, gc, gc])) + 2049 * 1000 == 28_078_773
