"""The fused tail against the modules one after the other."""
import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from eca_mm.layers import ECALayer, SELayer
from eca_mm.ops.training_block_tail import can_fuse_block_tail, training_block_tail
from tests.conftest import needs_half_on_cpu
from tests.support.marks import few_by_default

FORMATS = [torch.contiguous_format, torch.channels_last]


def make_layers(channels=16, attention=ECALayer, dtype=torch.float64, **options):
    torch.manual_seed(0)
    norm, attention = nn.BatchNorm2d(channels, **options), attention(channels)
    nn.init.uniform_(norm.weight, -1, 1)
    nn.init.normal_(norm.bias)
    nn.init.normal_(norm.running_mean)
    nn.init.uniform_(norm.running_var, .5, 2)
    return norm.to(dtype), attention.to(dtype)


def plain_tail(z, norm, attention, identity, activate):
    out = attention(norm(z))
    out = out if identity is None else out + identity
    return F.relu(out) if activate else out


class Tail(nn.Module):
    """A tail as a module, so that its parameters can be replaced in a call."""

    def __init__(self, norm, attention, activate):
        super().__init__()
        self.norm, self.attention, self.activate = norm, attention, activate

    def forward(self, z, identity=None):
        return training_block_tail(z, self.norm, self.attention, identity, self.activate)


@pytest.mark.parametrize('attention', few_by_default([ECALayer, SELayer], 0))
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('activate,shortcut', [(True, True), (False, True), (False, False)])
def test_gradcheck(attention, training, activate, shortcut):
    """Through BN's batch statistics, the gate and its parameters, and the identity branch."""
    channels = 16 if attention is SELayer else 8
    norm, attention = make_layers(channels, attention)
    tail = Tail(norm, attention, activate).train(training)
    parameters = {name: p.detach().requires_grad_() for name, p in tail.named_parameters()}
    buffers = dict(tail.named_buffers())
    z = torch.randn(2, channels, 3, 2, dtype=torch.float64, requires_grad=True)
    maps = (z, torch.randn_like(z).requires_grad_()) if shortcut else (z, )

    def call(*inputs):
        replaced = dict(zip(parameters, inputs[len(maps):], strict=True))
        replaced |= {name: value.clone() for name, value in buffers.items()}
        return torch.func.functional_call(tail, replaced, inputs[:len(maps)])

    assert torch.autograd.gradcheck(call, (*maps, *parameters.values()))


@pytest.mark.parametrize('layout', FORMATS)
@pytest.mark.parametrize('shape', [(4, 16, 7, 5), (1, 16, 9, 9), (3, 16, 1, 1),
                                   (3, 16, 300, 300)])
@pytest.mark.parametrize('training', [True, False])
def test_equals_the_modules(shape, layout, training):
    """Also where samples are taken one by one (the last shape has 6 MB a sample).

    The truth is what the modules compute in float64. In float32 their own sums err too, with one
    thread more than with several; the fused tail may err twice as much.
    """
    z, identity, weight = torch.randn(shape) * 2 + 1, torch.randn(shape), torch.randn(shape)
    # Where the ReLU's input is next to zero, rounding decides whether a gradient passes.
    norm, attention = make_layers(dtype=torch.float64)
    before = plain_tail(z.double(), norm.train(training), attention, identity.double(), False)
    weight[before.abs() < 1e-4] = 0
    results = []
    for function, dtype in ((plain_tail, torch.float64), (training_block_tail, torch.float32),
                            (plain_tail, torch.float32)):
        norm, attention = make_layers(dtype=dtype)
        norm.train(training)
        maps = [x.to(dtype).to(memory_format=layout).requires_grad_() for x in (z, identity)]
        out = function(maps[0], norm, attention, maps[1], True)
        inputs = (*maps, *norm.parameters(), *attention.parameters())
        grads = torch.autograd.grad((out * weight.to(dtype)).sum(), inputs)
        results.append((out, *grads, *norm.buffers()))
    assert results[1][0].is_contiguous(memory_format=layout)
    for expected, value, modules in zip(*results, strict=True):
        # Sums over all positions are as exact as their largest terms allow.
        error = float((modules.double() - expected).detach().abs().max())
        tolerance = max(3e-5 * max(1., float(expected.detach().abs().max())), 2 * error)
        torch.testing.assert_close(value.to(expected.dtype), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize('layout', FORMATS)
@pytest.mark.parametrize('momentum', [.1, None])
def test_running_statistics_far_from_zero(layout, momentum):
    """|mean| / std of 1000, where E[z^2] - E[z]^2 has no correct digit left."""
    norm, attention = make_layers(dtype=torch.float32, momentum=momentum)
    norm.reset_running_stats()
    reference = copy.deepcopy(norm)
    for seed in (1, 2):
        torch.manual_seed(seed)
        z = (torch.randn(4, 16, 20, 20) + 1000 * torch.tensor([-1., 1.]).repeat(8)[:, None, None])
        z = z.to(memory_format=layout).requires_grad_()
        training_block_tail(z, norm, attention, torch.zeros_like(z), True)
        reference(z)
    assert norm.num_batches_tracked.equal(reference.num_batches_tracked)
    torch.testing.assert_close(norm.running_mean, reference.running_mean, rtol=1e-5, atol=0)
    torch.testing.assert_close(norm.running_var, reference.running_var, rtol=1e-5, atol=0)


@pytest.mark.parametrize('layout', FORMATS)
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision(dtype, layout):
    """Maps in half precision, BN and attention in fp32, as autocast has them."""
    if dtype is torch.float16:
        needs_half_on_cpu()
    z, identity, weight = (torch.randn(4, 16, 20, 20).to(dtype) for _ in range(3))
    results = []
    for function, precision in ((plain_tail, torch.float64), (training_block_tail, dtype)):
        norm, attention = make_layers(
            dtype=torch.float64 if function is plain_tail else torch.float32)
        maps = [(x.to(precision) + shift).to(memory_format=layout).requires_grad_()
                for x, shift in ((z, 0), (identity, 8))]
        out = function(maps[0], norm, attention, maps[1], True)
        inputs = (*maps, *norm.parameters(), *attention.parameters())
        results.append((*torch.autograd.grad((out * weight.to(precision)).sum(), inputs), out,
                        *norm.buffers()))
    for expected, value in zip(*results, strict=True):
        assert (value.double() - expected).norm() <= 1e-2 * expected.double().norm()
    for expected, value in zip(results[0][-3:-1], results[1][-3:-1], strict=True):
        torch.testing.assert_close(value.double(), expected.double(), rtol=1e-3, atol=1e-3)


@pytest.mark.skipif(not hasattr(torch.amp, 'GradScaler'),
                    reason='before PyTorch 2.3 a GradScaler is for CUDA only')
def test_overflow_skips_the_step():
    """The scaler finds infinite gradients behind the tail, and leaves the weights alone."""
    norm, attention = make_layers(dtype=torch.float32)
    weights = [*norm.parameters(), *attention.parameters()]
    before = [w.detach().clone() for w in weights]
    optimizer = torch.optim.SGD(weights, lr=1.)
    scaler = torch.amp.GradScaler('cpu', init_scale=2.**10)
    z = torch.randn(2, 16, 4, 4, dtype=torch.bfloat16, requires_grad=True)
    out = training_block_tail(z, norm, attention, torch.full_like(z, 1e38), True)
    scaler.scale((out.float() * 1e38).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert all(map(torch.equal, weights, before)) and scaler.get_scale() == 2.**9


def test_saves_no_more_than_a_plain_block():
    """Of the size of the map: z and the output, as for BN, addition and ReLU without attention."""
    norm, attention = make_layers(dtype=torch.float32)
    z = torch.randn(2, 16, 40, 40, requires_grad=True)
    identity = torch.randn_like(z).requires_grad_()
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x) or x, lambda x: x):
        out = training_block_tail(z, norm, attention, identity, True)
    large = [x for x in saved if x.numel() >= z.numel()]
    assert [x.data_ptr() for x in large] == [z.data_ptr(), out.data_ptr()]
    assert sum(x.numel() for x in saved) < 2.01 * z.numel()


def test_frozen_parameters_and_input():
    norm, attention = make_layers()
    norm.requires_grad_(False)
    z = torch.randn(2, 16, 4, 4, dtype=torch.float64)
    identity = torch.randn_like(z).requires_grad_()
    training_block_tail(z, norm, attention, identity, True).sum().backward()
    assert norm.weight.grad is None and z.grad is None
    assert identity.grad is not None and attention.conv.weight.grad is not None


def test_gradient_twice_is_refused():
    norm, attention = make_layers()
    z = torch.randn(2, 16, 4, 4, dtype=torch.float64, requires_grad=True)
    out = training_block_tail(z, norm, attention, None, False)
    grad, = torch.autograd.grad(out.square().sum(), z, create_graph=True)
    with pytest.raises(RuntimeError, match='once_differentiable'):
        grad.sum().backward()


class TestWhenItApplies:

    def applies(self, norm=None, attention=None, z=None, identity='like z', activation=None):
        default_norm, default_attention = make_layers(dtype=torch.float32)
        z = torch.randn(2, 16, 4, 4, requires_grad=True) if z is None else z
        identity = torch.zeros_like(z) if identity == 'like z' else identity
        return can_fuse_block_tail(z, norm or default_norm, attention or default_attention,
                                   identity, activation or nn.ReLU())

    def test_default(self):
        assert self.applies() and self.applies(identity=None)

    @pytest.mark.parametrize('norm', [
        nn.SyncBatchNorm(16), nn.GroupNorm(2, 16), nn.BatchNorm2d(16, affine=False),
        nn.BatchNorm2d(16, track_running_stats=False), nn.BatchNorm2d(16).double(), nn.Identity()
    ])
    def test_other_norms(self, norm):
        assert not self.applies(norm=norm)

    def test_other_attentions_and_activations(self):
        class Squared(ECALayer):
            """Rescales in another way."""

            def forward(self, x):
                return x * self.gate(x)**2

        assert not self.applies(attention=Squared(16))
        assert not self.applies(attention=nn.Identity())
        assert not self.applies(activation=nn.ReLU6())

    def test_hooks_are_heard(self):
        norm, attention = make_layers(dtype=torch.float32)
        attention.register_forward_hook(lambda *_: None)
        assert not self.applies(attention=attention)
        norm.register_forward_pre_hook(lambda *_: None)
        assert not self.applies(norm=norm)

    def test_inputs(self):
        z = torch.randn(2, 16, 4, 4)
        assert not self.applies(z=z)
        # In half precision with parameters in fp32, not in half precision themselves.
        assert self.applies(z=z.bfloat16().requires_grad_())
        assert not self.applies(z=z.bfloat16().requires_grad_(),
                                norm=nn.BatchNorm2d(16).bfloat16())
        assert not self.applies(z=z.requires_grad_(), identity=torch.zeros(2, 16, 1, 1))
        with torch.no_grad():
            assert not self.applies()
