"""Whole residual blocks at inference time."""
import pytest
import torch
from torch import nn

from eca_mm.backbones.mobilenet_v2 import AttentionInvertedResidual
from eca_mm.backbones.resnet import AttentionBottleneck
from eca_mm.deploy import fuse
from eca_mm.ops import cpu_block
from eca_mm.ops.clamp import InferenceReLU6
from tests.support.randomize import randomize, relative_difference

ECA = dict(type='ECALayer', kernel_size=3)
DOWNSAMPLE = nn.Sequential(nn.Conv2d(16, 32, 1, 2, bias=False), nn.BatchNorm2d(32))
BLOCKS = {
    'inverted': lambda: AttentionInvertedResidual(8, 8, 1, 6, attention=ECA),
    'inverted, stride': lambda: AttentionInvertedResidual(8, 12, 2, 6, attention=ECA),
    'inverted, plain': lambda: AttentionInvertedResidual(8, 8, 1, 6),
    'bottleneck': lambda: AttentionBottleneck(16, 16, attention=ECA),
    'bottleneck, stride': lambda: AttentionBottleneck(16, 32, stride=2, downsample=DOWNSAMPLE,
                                                      attention=ECA)}


@pytest.fixture
def slices(monkeypatch):
    """Two samples of 8 x 48 x 13 x 10 at a time."""
    monkeypatch.setattr(cpu_block, 'LARGE_BYTES', 4 * 48 * 130 * 4)


def calls_of(module):
    """The sizes of the batches that a module is called with, unseen by it."""
    sizes, forward = [], type(module).forward

    def count(self, x):
        if self is module:
            sizes.append(len(x))
        return forward(self, x)

    return sizes, count


class TestSlicesOfABatch:

    @pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
    @pytest.mark.parametrize('block', BLOCKS.values(), ids=BLOCKS)
    def test_same_output(self, block, layout, monkeypatch):
        monkeypatch.setattr(cpu_block, 'LARGE_BYTES', 0)
        torch.manual_seed(0)
        block = randomize(block())
        x = torch.randn(5, block.conv1.in_channels if hasattr(block, 'conv1') else 8, 13, 10)
        x, fused = x.to(memory_format=layout), fuse(block)
        with torch.no_grad():
            expected, kept = block(x), x.clone()
            out = fused(x)
            assert relative_difference(expected, out) < 1e-6 and x.equal(kept)
            assert out.is_contiguous(memory_format=torch.channels_last)
            assert relative_difference(expected, fused(x, overwrite=True)) < 1e-6

    def test_how_many_at_a_time(self, slices, monkeypatch):
        fused = fuse(randomize(BLOCKS['inverted']()))
        sizes, count = calls_of(fused.branch[0])
        monkeypatch.setattr(nn.Conv2d, 'forward', count)
        with torch.no_grad():
            fused(torch.randn(5, 8, 13, 10))
            assert sizes == [2, 2, 1]
            fused(torch.randn(4, 8, 13, 10))
            assert sizes == [2, 2, 1, 4]

    def test_with_hooks_all_at_once(self, slices):
        fused, sizes = fuse(randomize(BLOCKS['inverted']())), []
        fused.branch[2].register_forward_hook(lambda _, __, out: sizes.append(len(out)))
        with torch.no_grad():
            fused(torch.randn(5, 8, 13, 10))
        assert sizes == [5]

    def test_layers_that_look_at_the_batch_see_all_of_it(self, slices):

        class Centred(nn.Module):
            """Subtracts the mean of the batch."""

            def forward(self, x):
                return x - x.mean(0)

        fused = fuse(randomize(BLOCKS['inverted']()))
        fused.branch.append(Centred())
        x = torch.randn(5, 8, 13, 10)
        with torch.no_grad():
            expected = fused.tail(fused.branch(x), x)
            assert relative_difference(expected, fused(x)) < 1e-6


class TestReLU6:

    def test_same_as_pytorchs(self):
        x = torch.randn(2, 3, 4, 5) * 5
        x[0, 0, 0, :3] = torch.tensor([float('nan'), float('inf'), -float('inf')])
        for inplace in (True, False):
            layer, given = InferenceReLU6(inplace), x.clone()
            with torch.no_grad():
                out = layer(given)
            torch.testing.assert_close(out, nn.functional.relu6(x), equal_nan=True)
            assert (out.data_ptr() == given.data_ptr()) == inplace

    def test_gradients(self):
        x = (torch.randn(50) * 5).requires_grad_()
        InferenceReLU6(inplace=True)(x * 1).sum().backward()
        assert x.grad.equal(((x > 0) & (x < 6)).float())

    def test_takes_the_place_of_pytorchs(self):
        block = randomize(BLOCKS['inverted']())
        kinds = [type(module) for module in fuse(block).modules()]
        assert InferenceReLU6 in kinds and nn.ReLU6 not in kinds
        assert nn.ReLU6 in [type(module) for module in block.modules()]
        block.conv[0].activate.register_forward_hook(lambda *_: None)
        assert nn.ReLU6 in [type(module) for module in fuse(block).modules()]
