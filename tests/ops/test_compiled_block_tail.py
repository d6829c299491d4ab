"""What compilers see of a block's end in training, and what comes out of it."""
import copy

import pytest
import torch

from eca_mm.backbones import ECAResNet
from eca_mm.backbones.resnet import AttentionBottleneck
from eca_mm.layers import ECALayer
from eca_mm.layers.channel_attention import supports_fused_tail

# BN of the branch's first two convolutions; the third is in the block's end.
INNER = 2


@pytest.fixture(scope='module')
def told():
    """Whether this PyTorch's compiler can tell that nobody has overridden a method.

    2.6 cannot, and sees the modules.
    """
    layer = ECALayer(8)

    def ask(x):
        return x + supports_fused_tail(layer)

    torch._dynamo.reset()
    return torch.compile(ask, backend='eager')(torch.zeros(1)).item() == 1


def compiled(block, graphs=None):
    def backend(graph, inputs):
        del inputs
        if graphs is not None:
            graphs.append(graph)
        return graph

    torch._dynamo.reset()
    return torch.compile(block, backend=backend, fullgraph=True)


def make(attention='ECALayer', **kwargs):
    torch.manual_seed(0)
    return AttentionBottleneck(16, 16, attention=dict(type=attention), **kwargs).double().train()


def _last(out):
    return out[-1] if isinstance(out, tuple) else out


def compare(block, other, x, run, steps=2):
    for _ in range(steps):
        for network, call in ((block, block), (other, run)):
            network.zero_grad()
            _last(call(x)).square().sum().backward()
    for a, b in zip(block.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-9, atol=1e-9)
    for (name, a), b in zip(block.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12, msg=name)


def count(graphs, word):
    return sum(word in str(node.target) for graph in graphs for node in graph.graph.nodes)


@pytest.mark.parametrize('attention', ['ECALayer', 'SELayer', 'ECANSLayer'])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_equals_the_eager_form(attention, layout, told):
    block = make(attention)
    other = copy.deepcopy(block)
    graphs = []
    # Far from zero, where the variance must not be a difference of squares.
    x = (torch.randn(3, 16, 7, 5).double() + 100).to(memory_format=layout)
    compare(block, other, x, compiled(other, graphs))
    assert count(graphs, 'var_mean') == told
    assert not told or count(graphs, 'batch_norm') == INNER


@pytest.mark.parametrize(('change', 'used'), [
    (lambda block: None, True),
    (lambda block: setattr(block, 'fused', False), False),
    (lambda block: setattr(block, 'with_cp', True), False),
    (lambda block: block.norm3.eval(), False),
    (lambda block: block.eval(), False),
    (lambda block: block.eca.register_forward_hook(lambda *_: None), False),
    (lambda block: block.norm3.register_forward_hook(lambda *_: None), False)])
def test_when_it_applies(change, used, told):
    block, graphs = make(), []
    change(block)
    other = copy.deepcopy(block)
    x = torch.randn(2, 16, 6, 6).double()
    torch.testing.assert_close(compiled(other, graphs)(x), block(x))
    assert count(graphs, 'var_mean') == (used and told)


def test_whole_network_through_autograd():
    torch.manual_seed(0)
    network = ECAResNet(18, base_channels=8).double().train()
    other = copy.deepcopy(network)
    torch._dynamo.reset()
    run = torch.compile(other, backend='aot_eager', fullgraph=True)
    compare(network, other, torch.randn(2, 3, 64, 64).double(), run)
