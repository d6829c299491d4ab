"""The ends of blocks at inference time against the modules one after the other."""
import pytest
import torch
from torch import nn

from eca_mm.benchmark.counting import OperationCounter
from eca_mm.layers import ECALayer, SELayer
from eca_mm.ops import cpu_inference
from eca_mm.ops.inference_block_tail import InferenceBlockTail
from tests.support.randomize import relative_difference

FORMATS = [torch.contiguous_format, torch.channels_last]
# The gate is known from the input where that has fewer channels and the map is large enough.
SIZES = {'one': (1, 8, 32, 7, 5), 'large map': (3, 8, 32, 19, 13), 'shrinks': (2, 32, 8, 9, 11),
         'one position': (4, 8, 32, 1, 1), 'many': (17, 4, 16, 6, 5)}


def make(c_in, c_out, attention=ECALayer, activation=True, **options):
    torch.manual_seed(0)
    layer = None if attention is None else attention(c_out)
    conv = nn.Conv2d(c_in, c_out, **{'kernel_size': 1, **options})
    return InferenceBlockTail(conv, layer, nn.ReLU(inplace=True) if activation else None).eval()


def maps(n, c_in, c_out, height, width, layout=torch.contiguous_format):
    return (torch.randn(n, c_in, height, width).to(memory_format=layout),
            torch.randn(n, c_out, height, width).to(memory_format=layout))


@torch.no_grad()
def expected_of(tail, x, identity):
    tail.double()
    out = tail.conv(x.double())
    out = out if tail.attention is None else tail.attention(out)
    out = out if identity is None else out + identity.double()
    out = out if tail.activation is None else out.relu()
    tail.float()
    return out


@pytest.fixture(params=[1, 2])
def threads(request):
    """With one thread, large maps are computed as matrix products."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture
def pieces(monkeypatch):
    """Every map counts as large, and a few rows of it fill the cache."""
    monkeypatch.setattr(cpu_inference, 'CACHE_BYTES', 0)
    monkeypatch.setattr(cpu_inference, 'LARGE_BYTES', 0)
    monkeypatch.setattr(cpu_inference, 'SLICE_BYTES', 2048)


class TestSameAsTheModules:

    def check(self, size, layout, attention=ECALayer, activation=True, shortcut=True):
        tail = make(*size[1:3], attention, activation)
        x, identity = maps(*size, layout)
        identity = identity if shortcut else None
        tail.conv.to(memory_format=layout)
        expected = expected_of(tail, x, identity)
        kept = x.clone(), identity if identity is None else identity.clone()
        with torch.no_grad():
            out = tail(x, identity)
            assert relative_difference(expected, out) < 1e-6
            assert out.is_contiguous(memory_format=layout)
            assert x.equal(kept[0]) and (identity is None or identity.equal(kept[1]))
            assert relative_difference(expected, tail(x, identity, overwrite=True)) < 1e-6

    @pytest.mark.parametrize('layout', FORMATS)
    @pytest.mark.parametrize('size', SIZES.values(), ids=SIZES)
    def test_whole(self, size, layout, threads):
        self.check(size, layout)

    @pytest.mark.parametrize('layout', FORMATS)
    @pytest.mark.parametrize('size', SIZES.values(), ids=SIZES)
    def test_in_pieces(self, size, layout, pieces, threads):
        self.check(size, layout)

    @pytest.mark.parametrize('layout', FORMATS)
    def test_maps_in_different_formats(self, layout, threads, pieces):
        tail, (x, identity) = make(8, 32), maps(*SIZES['large map'], layout)
        other = FORMATS[layout is FORMATS[0]]
        identity = identity.contiguous(memory_format=other)
        expected = expected_of(tail, x, identity)
        with torch.no_grad():
            for out in (None, torch.empty_like(identity), torch.empty_like(identity[:2])):
                n = 3 if out is None else len(out)
                result = tail.on_cpu()(x[:n], identity[:n].clone(), True, out)
                assert relative_difference(expected[:n], result) < 1e-6
                assert out is None or result.data_ptr() == out.data_ptr()

    @pytest.mark.parametrize('attention', [None, ECALayer, SELayer])
    @pytest.mark.parametrize('activation, shortcut', [(False, True), (False, False), (True, False)])
    def test_parts_left_out(self, attention, activation, shortcut):
        self.check((2, 8, 32, 7, 5), torch.channels_last, attention, activation, shortcut)

    def test_pieces_take_the_memory_of_the_shortcut(self, pieces, threads):
        tail, (x, identity) = make(8, 32), maps(*SIZES['large map'])
        with torch.no_grad():
            assert tail(x, identity, overwrite=True).data_ptr() == identity.data_ptr()
            assert tail(x, identity).data_ptr() != identity.data_ptr()

    def test_other_activation_in_pieces(self, pieces, threads):
        tail, (x, identity) = make(8, 32), maps(*SIZES['large map'])
        tail.activation = nn.Hardtanh(-.1, .1)
        with torch.no_grad():
            expected = tail.activation(tail.attention(tail.conv(x)) + identity)
            assert relative_difference(expected, tail(x, identity)) < 1e-6


class TestWhatItStarts:

    def operations(self, size, layout=torch.contiguous_format):
        tail, (x, identity) = make(*size[1:3]), maps(*size, layout)
        tail.to(memory_format=layout)
        # What is kept for the next time.
        with torch.no_grad():
            tail(x, identity)
        with torch.no_grad(), OperationCounter() as counter:
            tail(x, identity)
        return counter.operations, set(counter.by_name)

    def test_gate_from_the_output(self):
        """The sums and their division, the gate's convolution and sigmoid, and one pass."""
        count, names = self.operations(SIZES['one position'])
        assert count == 7 and names == {f'aten.{name}' for name in (
            'convolution.default', 'sum.dim_IntList', 'mul_.Tensor', 'sigmoid_.default',
            'addcmul.out', 'relu_.default')}

    def test_gate_of_one_image(self):
        """The means are one product."""
        count, names = self.operations(SIZES['one'], torch.channels_last)
        assert count == 6 and names == {f'aten.{name}' for name in (
            'convolution.default', 'mm.default', 'sigmoid_.default', 'addcmul.out',
            'relu_.default')}

    def test_gate_from_the_smaller_input(self, threads, monkeypatch):
        monkeypatch.setattr(cpu_inference, 'CACHE_BYTES', 0)
        count, names = self.operations(SIZES['large map'])
        if threads == 1:
            assert 'aten.baddbmm_.default' in names
            return
        assert count == 7 and names == {f'aten.{name}' for name in (
            'convolution.default', 'sum.dim_IntList', 'addmm.default', 'sigmoid_.default',
            'addcmul.out', 'relu_.default')}


class TestWhoSeesIt:

    def test_output_that_a_hook_has_kept_stays(self):
        tail, (x, identity), kept = make(8, 32), maps(*SIZES['one']), {}
        tail.conv.register_forward_hook(lambda _, __, out: kept.update(out=out, copy=out.clone()))
        with torch.no_grad():
            tail(x, identity)
        assert kept['out'].equal(kept['copy'])

    def test_hooks_hear_of_whole_maps(self, pieces):
        tail, (x, identity), shapes = make(8, 32), maps(*SIZES['large map']), []
        tail.conv.register_forward_hook(lambda _, __, out: shapes.append(out.shape))
        with torch.no_grad():
            tail(x, identity)
        assert shapes == [identity.shape]

    @pytest.mark.parametrize('size', ['one position', 'large map'])
    def test_autocast(self, size, pieces):
        tail, (x, identity) = make(8, 32), maps(*SIZES[size])
        expected = expected_of(tail, x, identity)
        with torch.no_grad(), torch.autocast('cpu', dtype=torch.bfloat16):
            assert relative_difference(expected, tail(x, identity)) < 1e-2

    def test_vmap(self):
        tail, (x, identity) = make(4, 16), maps(*SIZES['many'])
        with torch.no_grad():
            expected = tail(x, identity)
            out = torch.func.vmap(lambda a, b: tail(a[None], b[None])[0])(x, identity)
        torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-6)

    def test_gradients_are_recorded(self):
        tail, (x, identity) = make(8, 32), maps(*SIZES['one'])
        tail(x.requires_grad_(), identity, overwrite=True).sum().backward()
        assert x.grad is not None and tail.conv.weight.grad is not None
