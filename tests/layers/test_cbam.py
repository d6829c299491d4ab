"""CBAM against its equations, timm and the paper's model sizes."""
import pytest
import timm.layers.cbam
import torch

from eca_mm.backbones import AttentionResNet
from eca_mm.layers import CBAM
from tests.support.contract import (
    LayerContract,
    assert_equals_the_equation,
    count,
    sigmoid,
    spatial_gate,
)


def cbam_numpy(x, state):

    def mlp(y):
        hidden = (y @ state['fc1.weight'].T + state['fc1.bias']).clip(0)
        return hidden @ state['fc2.weight'].T + state['fc2.bias']

    x = x * sigmoid(mlp(x.mean((2, 3))) + mlp(x.max((2, 3))))[:, :, None, None]
    return x * spatial_gate(x, state)


class TestCBAM(LayerContract):
    layer, abbr, options = CBAM, 'cbam', dict(reduction=4)

    @pytest.mark.parametrize('channels,reduction,size', [(64, 16, 7), (24, 5, 3)])
    def test_parameters(self, channels, reduction, size):
        h = channels // reduction
        expected = 2 * channels * h + h + channels + 2 * size**2 + 2
        assert count(CBAM(channels, reduction, size)) == expected

    @pytest.mark.parametrize('size', [3, 7])
    def test_equals_the_equation(self, size):
        assert_equals_the_equation(self.build(kernel_size=size), cbam_numpy, (3, 16, 6, 5))

    def test_equals_timm(self):
        layer = self.build()
        other = timm.layers.cbam.CbamModule(16, rd_ratio=1 / 4, mlp_bias=True).eval()
        names = {'fc1': 'channel.fc1', 'fc2': 'channel.fc2', 'conv': 'spatial.conv.conv',
                 'bn': 'spatial.conv.bn'}
        state = {}
        for key, value in layer.state_dict().items():
            module, name = key.split('.')
            is_matrix = module.startswith('fc') and name == 'weight'
            state[f'{names[module]}.{name}'] = value[:, :, None, None] if is_matrix else value
        other.load_state_dict(state)
        torch.testing.assert_close(layer(self.input()), other(self.input()), rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize('option,value', [('reduction', 17), ('reduction', 0),
                                              ('kernel_size', 4), ('kernel_size', 0),
                                              ('kernel_size', 7.0)])
    def test_bad_options(self, option, value):
        with pytest.raises(ValueError, match=option):
            CBAM(16, **{option: value})


@pytest.mark.parametrize('depth,head,printed', [(18, 513, 11.234), (34, 513, 20.943),
                                                (50, 2049, 26.788)])
def test_paper_tables(depth, head, printed):
    """Table 7 in units of 2**20 parameters; at depth 50 what the same model counts."""
    model = AttentionResNet(depth, dict(type='CBAM'))
    assert round((count(model) + head * 1000) / 2**20, 3) == printed
