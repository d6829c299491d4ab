"""A block's inference form computes what the block does, or does not exist."""
import pytest
import torch
from torch import nn

from eca_mm.backbones import ECAMobileNetV2, ECAResNet
from eca_mm.backbones.resnet import AttentionBottleneck
from eca_mm.deploy import fuse, switch_to_deploy
from eca_mm.ops.inference_block import InferenceBlock
from tests.support.randomize import randomize

SMALL = dict(base_channels=8, stem_channels=8)


@pytest.mark.parametrize('switch', [switch_to_deploy, lambda model: model.switch_to_deploy()])
def test_both_ways_to_switch_are_equivalent(switch):
    model = randomize(ECAResNet(18, norm_cfg=dict(type='SyncBN'), **SMALL))
    with pytest.warns(UserWarning, match='no known inference form and are left.*layer1.0'):
        switch(model)
    assert model.conv1.weight.is_contiguous(memory_format=torch.channels_last)


class Overrides:
    """Mixins for blocks that compute something else than their parent."""

    class Forward(nn.Module):
        def forward(self, x):
            return super().forward(x) * 2

    class Recalibrate(nn.Module):
        def recalibrate(self, out):
            return super().recalibrate(out) * 2

    class Merge(nn.Module):
        def merge(self, identity, out):
            return super().merge(identity, out) * 2


@pytest.mark.parametrize('mixin', [Overrides.Forward, Overrides.Recalibrate, Overrides.Merge])
@pytest.mark.parametrize('make', [lambda: ECAResNet(50, **SMALL).layer1[1],
                                  lambda: ECAResNet(18, **SMALL).layer1[1],
                                  lambda: ECAMobileNetV2(widen_factor=.35).layer2[1]])
@pytest.mark.filterwarnings('ignore:These modules have no known inference form')
def test_overridden_blocks_are_not_folded(mixin, make):
    block = randomize(make())
    block.__class__ = type('Mixed', (mixin, type(block)), {})
    channels = block.in_channels if hasattr(block, 'in_channels') else block.out_channels
    x = torch.randn(2, channels, 9, 9)
    with torch.no_grad():
        expected = block(x)
        fused = fuse(block)
        assert not isinstance(fused, InferenceBlock)
        torch.testing.assert_close(fused(x), expected)
        block.forward = lambda x: x
        assert fuse(block)(x).equal(x)


def test_order_of_layers_in_an_overridden_forward_is_respected():
    class Other(AttentionBottleneck):
        def forward(self, x):
            return self.norm1(self.conv1(x).relu())

    block = randomize(Other(16, 16))
    x = torch.randn(2, 16, 9, 9)
    with torch.no_grad(), pytest.warns(UserWarning, match='bn1'):
        torch.testing.assert_close(fuse(block)(x), block(x))


def test_a_block_may_define_its_own_form():
    class Doubled(AttentionBottleneck):
        def forward(self, x):
            return super().forward(x) * 2

        def inference_form(self):
            form = super().inference_form()
            form.register_forward_hook(lambda module, args, out: out * 2)
            return form

    block = randomize(Doubled(16, 16))
    x = torch.randn(2, 16, 9, 9)
    with torch.no_grad():
        fused = fuse(block)
        assert isinstance(fused, InferenceBlock)
        torch.testing.assert_close(fused(x), block(x), rtol=1e-5, atol=1e-6)
