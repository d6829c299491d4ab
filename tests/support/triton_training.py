"""Ways of training a network whose blocks end in Triton kernels, in Triton's interpreter.

Run as ``TRITON_INTERPRET=1 python -m tests.support.triton_training``. Prints, as JSON, how far
each way is from the same with ``fused=False``, and what else was found.
"""
import copy
import json
import sys
import tempfile
from itertools import starmap

import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing import spawn

from eca_mm.backbones import ECAResNet
from eca_mm.layers import ECALayer
from eca_mm.ops.accelerated_block_tail import accelerated_block_tail
from eca_mm.ops.accelerated_inference import accelerated_inference_tail
from tests.support.triton_checks import distance

OURS = '_AcceleratedBlockTailBackward'


def network(fused):
    torch.manual_seed(0)
    # Two stages have every kind of end.
    return ECAResNet(18, num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(1,),
                     base_channels=4, stem_channels=4, fused=fused).train()


def loss(out):
    return out[-1].square().mean()


def distances(train):
    """Largest distance of what ``train(model)`` returns with and without the kernels."""
    expected, found = (train(network(fused)) for fused in (False, True))
    return max(starmap(distance, zip(expected, found, strict=True)))


def state(model):
    """Gradients and running statistics."""
    return [*(p.grad for p in model.parameters()),
            *(b for b in model.buffers() if b.is_floating_point())]


def batch(seed=1, size=4):
    return torch.randn(size, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def accumulation(model):
    for seed in (1, 2):
        loss(model(batch(seed))).backward()
    return state(model)


def functional_call(model):
    params = {name: (p * 1.1).detach().requires_grad_() for name, p in model.named_parameters()}
    out = torch.func.functional_call(model, params, (batch(),))
    grads = torch.autograd.grad(loss(out), list(params.values()))
    assert all(p.grad is None for p in model.parameters())
    return [out[-1], *grads, *(b for b in model.buffers() if b.is_floating_point())]


def sync_bn(model):
    model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    out = model(batch())
    assert type(out[-1].grad_fn).__name__ != OURS
    loss(out).backward()
    return state(model)


def hooks(model):
    """Hooks on an attention, on a normalisation and on a block fire, and may change what passes."""
    block, calls = model.layer2[1], []
    for module in (block.eca, model.layer1[0].norm2, model.layer2[0]):
        module.register_forward_hook(lambda *_: calls.append('forward'))
        module.register_full_backward_hook(lambda *_: calls.append('backward'))
    block.eca.register_forward_hook(lambda module, args, out: out * 0.5)
    loss(model(batch())).backward()
    assert sorted(calls) == ['backward'] * 3 + ['forward'] * 3, calls
    return state(model)


def uses_kernels():
    return type(network(True)(batch())[-1].grad_fn).__name__ == OURS


def refuses_double_backward():
    model, x = network(True), batch().requires_grad_()
    grad, = torch.autograd.grad(loss(model(x)), x, create_graph=True)
    try:
        grad.sum().backward()
    except RuntimeError as error:
        return 'once_differentiable' in str(error)
    return False


class Inference(nn.Module):
    """The end of a block at inference time."""

    def __init__(self):
        super().__init__()
        self.attention, self.activation = ECALayer(8), nn.ReLU()

    def forward(self, z, identity):
        return accelerated_inference_tail(z, identity, self.attention, self.activation)


def compiled_inference():
    """Without graph breaks, and in the exported program as single operators."""
    z, identity = torch.randn(2, 8, 5, 3), torch.randn(2, 8, 5, 3)
    with torch.no_grad():
        model = Inference().eval()
        expected = model(z, identity)
        compiled = torch.compile(model, backend='aot_eager', fullgraph=True)(z, identity)
        program = torch.export.export(model, (z, identity))
        found = program.module()(z, identity)
    names = [str(node.target) for node in program.graph.nodes if node.op == 'call_function']
    assert 'eca_mm.gate_and_add.default' in names, names
    return max(distance(expected, compiled), distance(expected, found))


def compiled_training():
    """The operators' autograd function, called from a compiled function."""
    torch.manual_seed(0)
    z, identity = (torch.randn(2, 8, 5, 3, requires_grad=True) for _ in range(2))
    norm, layer = nn.BatchNorm2d(8), ECALayer(8)
    results = []

    def tail(z, identity, norm, layer):
        return accelerated_block_tail(z * 1, norm, layer, identity, 1)

    for function in (tail, torch.compile(tail, backend='aot_eager')):
        modules = copy.deepcopy(norm), copy.deepcopy(layer)
        out = function(z, identity, *modules)
        parameters = [p for module in modules for p in module.parameters()]
        grads = torch.autograd.grad(out.square().sum(), [z, identity, *parameters])
        results.append([out, *grads, *(b.float() for b in modules[0].buffers())])
    return max(starmap(distance, zip(*results, strict=True)))


def compiled_network(model):
    model = torch.compile(model, backend='aot_eager')
    loss(model(batch())).backward()
    return state(model)


def distributed():
    """Largest distance of either process, with two of them, each with its own images."""
    with tempfile.TemporaryDirectory() as folder:
        spawn(_process, (folder,), nprocs=2)
        with open(f'{folder}/0') as first, open(f'{folder}/1') as second:
            return max(float(first.read()), float(second.read()))


def _process(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)

    def train(model):
        wrapped = nn.parallel.DistributedDataParallel(model)
        loss(wrapped(batch(seed=rank))).backward()
        gathered = [torch.empty_like(model.conv1.weight) for _ in range(2)]
        dist.all_gather(gathered, model.conv1.weight.grad)
        assert torch.equal(*gathered)
        return state(model)

    worst = distances(train)
    with open(f'{folder}/{rank}', 'w') as file:
        file.write(str(worst))
    dist.destroy_process_group()


def main(slow):
    if slow:
        errors = dict(distributed=distributed(), compiled_network=distances(compiled_network))
        print(json.dumps(dict(errors=errors)))
        return
    errors = {function.__name__: distances(function)
              for function in (accumulation, functional_call, sync_bn, hooks)}
    errors.update(compiled_inference=compiled_inference(), compiled_training=compiled_training())
    print(json.dumps(dict(errors=errors, uses_kernels=uses_kernels(),
                          refuses_double_backward=refuses_double_backward())))


if __name__ == '__main__':
    main('--slow' in sys.argv)
