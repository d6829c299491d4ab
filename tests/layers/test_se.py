"""SELayer against the equation, timm and the paper's model sizes."""
import pytest
import timm.layers
import torch

from eca_mm.backbones import AttentionMobileNetV2, AttentionResNet
from eca_mm.layers import SELayer
from tests.support.contract import (
    ChannelAttentionContract,
    assert_equals_the_equation,
    count,
    randomize,
    sigmoid,
)


def se_numpy(x, state):
    hidden = (x.mean((2, 3)) @ state['fc1.weight'].T).clip(0)
    return x * sigmoid(hidden @ state['fc2.weight'].T)[:, :, None, None]


class TestSELayer(ChannelAttentionContract):
    layer, abbr, options = SELayer, 'se', dict(reduction=4)

    @pytest.mark.parametrize('channels,reduction', [(256, 16), (24, 8), (100, 16), (16, 16)])
    def test_parameters(self, channels, reduction):
        assert count(SELayer(channels, reduction)) == 2 * channels * (channels // reduction)

    def test_equals_the_equation(self):
        assert_equals_the_equation(self.build(), se_numpy, (3, 16, 4, 5))

    def test_equals_timm(self):
        layer = randomize(SELayer(32, 8))
        other = timm.layers.SEModule(32, rd_ratio=1 / 8, rd_divisor=1, bias=False)
        other.load_state_dict({k: v[:, :, None, None] for k, v in layer.state_dict().items()})
        x = torch.randn(2, 32, 5, 5)
        torch.testing.assert_close(layer(x), other(x), rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize('reduction', [0, -1, 2.5, '16', True, 17])
    def test_bad_reduction(self, reduction):
        with pytest.raises(ValueError, match='reduction'):
            SELayer(16, reduction)


def test_paper_tables():
    """Tables 3 and 7 print parameters / 2**20, with a classifier of 1000 classes."""
    resnet = AttentionResNet(50, dict(type='SELayer'))
    assert count(resnet) + 2049 * 1000 == 28_071_976
    for depth, printed in ((18, 11.231), (34, 20.938)):
        model = AttentionResNet(depth, dict(type='SELayer'))
        assert round((count(model) + 513 * 1000) / 2**20, 3) == printed
    mobile = AttentionMobileNetV2(dict(type='SELayer', reduction=8))
    assert round((count(mobile) + 1281 * 1000) / 2**20, 2) == 3.40
