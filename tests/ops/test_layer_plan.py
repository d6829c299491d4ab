"""Resolved blocks notice whatever happens to their layers."""
import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from eca_mm.backbones.resnet import AttentionBottleneck
from eca_mm.deploy import fuse
from eca_mm.layers import CBAM, ECALayer, SELayer
from eca_mm.ops import cpu_block, cpu_inference
from eca_mm.ops.inference_block import InferenceStage
from eca_mm.ops.layer_plan import LayerPlan
from tests.support.randomize import randomize, relative_difference


class Doubled(nn.Module):

    def forward(self, x):
        return 2 * x


def make(attention='ECALayer'):
    torch.manual_seed(0)
    return fuse(randomize(AttentionBottleneck(16, 16, attention=dict(type=attention))))


def replace_layer(block):
    block.branch[2] = nn.Conv2d(4, 4, 1)


CHANGES = {
    'weight': lambda b: setattr(b.branch[0], 'weight', nn.Parameter(b.branch[0].weight * 2)),
    'values of a weight': lambda b: b.tail.conv.weight.data.mul_(2),
    'memory of a weight': lambda b: setattr(b.tail.conv.weight, 'data', b.tail.conv.weight * 2),
    'bias': lambda b: setattr(b.tail.conv, 'bias', None),
    'state dict': lambda b: b.load_state_dict({k: 2 * v for k, v in b.state_dict().items()}),
    'setting of a convolution': lambda b: setattr(b.branch[2], 'dilation', (2, 2)) or setattr(
        b.branch[2], 'padding', (2, 2)),
    'padding mode': lambda b: setattr(b.branch[2], 'padding_mode', 'circular') or setattr(
        b.branch[2], '_reversed_padding_repeated_twice', [1, 1, 1, 1]),
    'layer': replace_layer,
    'layer after the others': lambda b: b.branch.append(Doubled()),
    'attention': lambda b: setattr(b.tail, 'attention', SELayer(16)),
    'attention that has to be called': lambda b: setattr(b.tail, 'attention', CBAM(16)),
    'no attention': lambda b: setattr(b.tail, 'attention', None),
    'convolution of the gate': lambda b: setattr(b.tail.attention, 'conv', nn.Conv1d(
        1, 1, 3, padding=2, dilation=2)),
    'memory of the gate': lambda b: setattr(
        b.tail.attention.conv.weight, 'data', -3 * b.tail.attention.conv.weight),
    'weight of the gate': lambda b: b.tail.attention.conv.weight.data.mul_(-3),
    'gate up to 2': lambda b: setattr(b.tail.attention, 'identity_start', True),
    'activation': lambda b: setattr(b.tail, 'activation', nn.Hardtanh(-.1, .1)),
    'no activation': lambda b: setattr(b.tail, 'activation', None),
    'shortcut': lambda b: setattr(b, 'shortcut', False),
    'downsample': lambda b: setattr(b, 'downsample', nn.Conv2d(16, 16, 1)),
    'forward of an object': lambda b: setattr(b.branch[1], 'forward', lambda x: 2 * x),
    'parametrization': lambda b: parametrize.register_parametrization(
        b.branch[2], 'weight', Doubled()),
    'new output of a layer': lambda b: b.branch[1].register_forward_hook(
        lambda _, __, out: 2 * out),
    'new input of the end': lambda b: b.tail.register_forward_pre_hook(
        lambda _, args: (2 * args[0], *args[1:])),
    'new output of the gate': lambda b: b.tail.attention.register_forward_hook(
        lambda _, __, out: 2 * out),
    'switched off': lambda b: setattr(b.tail, 'fused', False)}


class TestChanges:

    @pytest.mark.parametrize('in_stage', [False, True])
    @pytest.mark.parametrize('change', CHANGES.values(), ids=CHANGES)
    def test_is_noticed(self, change, in_stage):
        block, x = make(), torch.randn(1, 16, 9, 7)
        network = InferenceStage(block) if in_stage else block
        with torch.no_grad():
            network(x)
        change(block)
        # While gradients are recorded the layers themselves are called.
        expected = network(x.clone()).detach()
        with torch.no_grad():
            for _ in range(2):
                assert relative_difference(expected, network(x)) < 1e-6

    def test_empty_shortcut_that_gets_a_layer(self):
        block, x = make(), torch.randn(1, 16, 9, 7)
        block.downsample = nn.Sequential()
        with torch.no_grad():
            block(x)
        block.downsample.append(Doubled())
        expected = block(x).detach()
        with torch.no_grad():
            assert relative_difference(expected, block(x)) < 1e-6

    def test_hook_that_is_gone(self):
        block, x = make(), torch.randn(1, 16, 9, 7)
        with torch.no_grad():
            expected, calls = block(x), []
            handle = block.branch[0].register_forward_hook(lambda *_: calls.append(1))
            block(x)
            block(x)
            handle.remove()
            assert block(x).equal(expected) and len(calls) == 2

    def test_hook_that_changes_a_later_block(self):
        stage, x = InferenceStage(make(), make()), torch.randn(1, 16, 9, 7)
        first, last = stage
        other = nn.Conv2d(4, 4, 1)
        with torch.no_grad():
            before = stage(x)
            first.branch[0].register_forward_hook(
                lambda *_: last.branch.register_module('2', other))
            out = stage(x)
            assert not out.equal(before) and out.equal(last(first(x)))

    @pytest.mark.parametrize('size', [(9, 7), (1, 1), (65, 64)])
    @pytest.mark.parametrize('layout', [torch.channels_last, torch.contiguous_format])
    def test_one_image_is_as_two(self, size, layout):
        stage = InferenceStage(make(), make()).to(memory_format=layout)
        x = torch.randn(1, 16, *size).to(memory_format=layout)
        with torch.no_grad():
            for _ in range(2):
                assert relative_difference(stage(x), stage(torch.cat([x, x]))[:1]) < 1e-6

    def test_hooks_of_all_modules(self):
        block, x, seen = make(), torch.randn(1, 16, 9, 7), set()
        with torch.no_grad():
            block(x)
            with torch.nn.modules.module.register_module_forward_hook(
                    lambda module, *_: seen.add(module)):
                block(x)
        assert set(block.modules()) - {block.tail.attention.conv} <= seen

    def test_weights_for_one_call(self):
        block, x = make(), torch.randn(1, 16, 9, 7)
        other = {name: 2 * value for name, value in block.state_dict().items()}
        with torch.no_grad():
            before = block(x)
            out = torch.func.functional_call(block, other, (x, ))
            assert block(x).equal(before)
            block.load_state_dict(other)
            assert block(x).equal(out) and not out.equal(before)


class TestCopies:

    @pytest.mark.parametrize('duplicate', [
        copy.deepcopy, lambda block: pickle.loads(pickle.dumps(block))])
    def test_stand_alone(self, duplicate):
        block, x = make(), torch.randn(1, 16, 9, 7)
        with torch.no_grad():
            expected = block(x)
            other = duplicate(block)
            block.branch[0].weight.zero_()
            assert other(x).equal(expected) and not block(x).equal(expected)

    def test_resolved_form_is_not_saved(self):
        block = make()
        size = len(pickle.dumps(block))
        with torch.no_grad():
            block(torch.randn(1, 16, 9, 7))
        assert len(pickle.dumps(block)) == size


class TestWhatIsOverwritten:
    """Nothing that somebody else may have: large maps take the memory of the shortcut."""

    @pytest.fixture(autouse=True, params=[1, 2])
    def large(self, monkeypatch, request):
        monkeypatch.setattr(cpu_inference, 'LARGE_BYTES', 0)
        monkeypatch.setattr(cpu_inference, 'CACHE_BYTES', 0)
        monkeypatch.setattr(cpu_block, 'LARGE_BYTES', 10**9 * (request.param - 1))

    def run(self, network, hooked=None):
        kept, x = {}, torch.randn(2, 16, 40, 40).to(memory_format=torch.channels_last)
        if hooked is not None:
            hooked.register_forward_hook(lambda _, __, out: kept.update(out=out, copy=out.clone()))
        given = x.clone()
        with torch.no_grad():
            network(x)
        assert x.equal(given) and (hooked is None or kept['out'].equal(kept['copy']))

    @pytest.mark.parametrize('fused', ['auto', False])
    def test_shortcut(self, fused):
        down = nn.Sequential(nn.Conv2d(16, 32, 1, bias=False), nn.BatchNorm2d(32))
        block = fuse(randomize(AttentionBottleneck(16, 32, downsample=down, attention=dict(
            type='ECALayer'))), fused)
        self.run(block, block.downsample)
        block = make()
        block.tail.fused = fused
        for same in (nn.Identity(), nn.Sequential(nn.Identity())):
            block.downsample = same
            self.run(block)

    @pytest.mark.parametrize('part', ['', 'tail', 'tail.activation', 'tail.conv'])
    def test_output_of_the_block_before(self, part):
        stage = InferenceStage(make(), make())
        self.run(stage, stage[0].get_submodule(part))


class TestLayerPlan:

    def test_overwrites_nothing_but_its_own(self):
        """The activation is in place where the map came from a convolution."""
        x = torch.randn(1, 3, 4, 5)
        kept = x.clone()
        for layers in (nn.Sequential(nn.ReLU()), nn.Sequential(Doubled(), nn.ReLU()),
                       nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU6()), nn.Identity()):
            with torch.no_grad():
                assert LayerPlan(layers)(x).equal(layers(x)) and x.equal(kept)

    @pytest.mark.parametrize('attention', [ECALayer, SELayer])
    @pytest.mark.parametrize('n, channels', [(1, 32), (3, 32), (700, 64)])
    def test_gates(self, attention, n, channels):
        layer, y = attention(channels), torch.randn(n, channels)
        with torch.no_grad():
            torch.testing.assert_close(layer.eager_gate()(y), layer.excite(y)[:, :, None, None])

    def test_gate_of_a_subclass(self):

        class Half(ECALayer):

            def excite(self, y):
                return super().excite(y) / 2

        y = torch.randn(1, 16)
        for layer in (Half(16), ECALayer(16, identity_start=True), ECALayer(16, num_convs=2)):
            with torch.no_grad():
                torch.testing.assert_close(layer.eager_gate()(y), layer.excite(y)[..., None, None])
