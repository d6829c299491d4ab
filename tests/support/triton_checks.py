"""Triton kernels against the form for CPUs, in Triton's interpreter.

Run as ``TRITON_INTERPRET=1 python -m tests.support.triton_checks``, for the interpreter has to be
chosen before Triton is imported. Prints the errors as JSON.
"""
import json
import sys
from itertools import starmap

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from eca_mm.backbones import ECAMobileNetV2, ECAResNet
from eca_mm.benchmark.counting import OperationCounter
from eca_mm.layers import ECALayer, SELayer
from eca_mm.layers.se_variants import SEVar2Layer
from eca_mm.ops import accelerated_ops
from eca_mm.ops.accelerated_block_tail import accelerated_block_tail
from eca_mm.ops.accelerated_inference import accelerated_inference_tail
from eca_mm.ops.training_block_tail import training_block_tail

NCHW, NHWC = torch.contiguous_format, torch.channels_last
FP32, FP16, BF16 = torch.float32, torch.float16, torch.bfloat16
ACTIVATIONS = {0: nn.Identity(), 1: nn.ReLU(), 6: nn.ReLU6()}
# Shape, format, attention, activation, shortcut, training, type
QUICK = {
    'eca': ((3, 24, 7, 5), NCHW, ECALayer, 1, True, True, FP32),
    'eca_channels_last': ((3, 24, 7, 5), NHWC, ECALayer, 1, True, True, FP32),
    'se_frozen': ((2, 24, 3, 5), NHWC, SELayer, 1, True, False, FP32),
    'se_variant': ((2, 24, 3, 5), NCHW, SEVar2Layer, 1, True, True, FP32),
    'one_image': ((1, 40, 9, 9), NCHW, ECALayer, 0, False, True, FP32),
    'one_by_one': ((5, 40, 1, 1), NHWC, ECALayer, 1, True, True, FP32),
    'norm_relu6': ((2, 24, 3, 5), NHWC, None, 6, False, True, FP32),
    'fp16': ((2, 24, 7, 5), NCHW, ECALayer, 1, True, True, FP16),
    'bf16': ((2, 24, 7, 5), NHWC, SELayer, 1, True, True, BF16),
}
SLOW = {
    'eca_2048': ((2, 2048, 3, 3), NCHW, ECALayer, 1, True, True, FP32),
    'se_2048': ((2, 2048, 1, 1), NHWC, SELayer, 1, True, True, FP32),
    'one_by_one_image': ((1, 2047, 1, 1), NCHW, ECALayer, 1, True, False, FP32),
    'large_map': ((1, 17, 61, 67), NCHW, ECALayer, 1, True, True, FP32),
    'large_map_channels_last': ((1, 17, 61, 67), NHWC, ECALayer, 1, True, True, FP32),
    'many_samples': ((67, 9, 2, 3), NCHW, ECALayer, 1, True, True, FP32),
    'no_shortcut': ((3, 24, 3, 3), NHWC, SELayer, 0, False, True, FP32),
    'frozen_norm_relu': ((3, 24, 3, 3), NCHW, None, 1, False, False, FP32),
    'fp16_channels_last': ((2, 200, 5, 3), NHWC, ECALayer, 1, True, True, FP16),
    'bf16_relu6': ((2, 24, 3, 5), NCHW, None, 6, False, True, BF16),
}


def layers(channels, attention, dtype):
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(channels)
    nn.init.uniform_(norm.weight, -1, 1)
    nn.init.normal_(norm.bias)
    nn.init.normal_(norm.running_mean)
    nn.init.uniform_(norm.running_var, .5, 2)
    return norm.to(dtype), None if attention is None else attention(channels).to(dtype)


def reference(z, norm, attention, identity, act):
    if attention is None:
        return ACTIVATIONS[act](norm(z))
    return training_block_tail(z, norm, attention, identity, act == 1)


def error(shape, layout, attention, act, shortcut, training, dtype):
    """Largest error of output, gradients and running statistics, relative to the largest value."""
    torch.manual_seed(1)
    z, identity, weight = (torch.randn(shape).to(dtype) for _ in range(3))
    norm, layer = layers(shape[1], attention, torch.float64)
    with torch.no_grad():
        before = norm.train(training)(z.double())
        before = before if layer is None else layer(before)
        before = before + identity.double() if shortcut else before
    # Where the activation bends, rounding decides whether a gradient passes.
    weight[(before.abs() < 2e-2) | ((before - 6).abs() < 2e-2)] = 0
    results = []
    for function, precision in ((reference, torch.float64), (accelerated_block_tail, dtype)):
        norm, layer = layers(shape[1], attention, torch.float64 if function is reference else FP32)
        norm.train(training)
        maps = [x.to(precision).contiguous(memory_format=layout).requires_grad_()
                for x in ((z, identity) if shortcut else (z, ))]
        out = function(maps[0], norm, layer, maps[1] if shortcut else None, act)
        assert out.is_contiguous(memory_format=layout) and out.dtype == precision
        inputs = [*maps, *norm.parameters(), *(() if layer is None else layer.parameters())]
        grads = torch.autograd.grad((out * weight.to(precision)).sum(), inputs)
        results.append([out, *grads, *norm.buffers()])
    return max(starmap(distance, zip(*results, strict=True)))


def distance(expected, value):
    value, expected = value.detach(), expected.detach()
    difference = (value.double() - expected.double()).abs().max()
    return float(difference / expected.double().abs().max().clamp(min=1e-2))


def inference_error(attention, shortcut, dtype, layout):
    z, identity = (torch.randn(3, 24, 5, 7).to(dtype).contiguous(memory_format=layout)
                   for _ in range(2))
    layer = attention(24)
    with torch.no_grad():
        out = accelerated_inference_tail(z, identity if shortcut else None, layer, nn.ReLU())
        expected = layer(z.float())
        return distance(F.relu(expected + identity.float() if shortcut else expected), out)


def network_error(network, size=32, **options):
    """A training step of a network in Triton kernels beside one of its modules."""
    results = []
    for fused in (False, 'auto'):
        torch.manual_seed(0)
        model = network(fused=fused, **options).train()
        x = torch.randn(2, 3, size, size, requires_grad=True)
        out = model(x)[-1]
        out.square().mean().backward()
        kind = type(out.grad_fn).__name__
        results.append([out.detach(), x.grad, *(p.grad for p in model.parameters()),
                        *(b for b in model.buffers() if b.is_floating_point())])
    assert network is not ECAResNet or kind == '_AcceleratedBlockTailBackward'
    return max(starmap(distance, zip(*results, strict=True)))


class Calls(TorchDispatchMode):
    """Keeps the arguments of our operators."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.namespace == 'eca_mm':
            self.calls.append((func._schema.name.partition('::')[2], args))
        return func(*args, **(kwargs or {}))


def launches():
    """What starts within every operator: kernels, operations of PyTorch, and foreign tensors."""
    from triton.runtime.interpreter import GridExecutor
    with Calls() as seen:
        for name in ('eca', 'se_frozen', 'norm_relu6'):
            error(*QUICK[name])
        inference_error(ECALayer, True, FP32, NCHW)
    started, start = [], GridExecutor.__call__

    def record(self, *args, **kwargs):
        started.append([x for x in args if isinstance(x, torch.Tensor)])
        # The interpreter has operations of its own.
        with _disable_current_modes():
            return start(self, *args, **kwargs)

    GridExecutor.__call__ = record
    found = {}
    for name, args in seen.calls:
        started.clear()
        with OperationCounter() as counter:
            results = getattr(accelerated_ops, name)._init_fn(*args)
        results = [results] if isinstance(results, torch.Tensor) else results
        known = {x.data_ptr() for x in (*args, *results) if isinstance(x, torch.Tensor)}
        foreign = sum(x.data_ptr() not in known for tensors in started for x in tensors)
        found[name] = [len(started), counter.operations, foreign]
    return found


def main(slow):
    found = {name: error(*case) for name, case in (SLOW if slow else QUICK).items()}
    if slow:
        # With 32 pixels BN would normalise two values, and rounding would decide the gradients.
        found['mobilenet_v2'] = network_error(ECAMobileNetV2, 96, widen_factor=.1)
        found['resnet50'] = network_error(ECAResNet, 96, depth=50, base_channels=4)
    else:
        found['inference_eca'] = inference_error(ECALayer, True, FP32, NHWC)
        found['inference_se'] = inference_error(SELayer, False, FP32, NCHW)
        found['inference_se_variant'] = inference_error(SEVar2Layer, True, FP32, NCHW)
        found['inference_fp16'] = inference_error(ECALayer, True, FP16, NCHW)
        found['resnet18'] = network_error(ECAResNet, depth=18, base_channels=4)
    print(json.dumps(dict(errors=found, launches={} if slow else launches())))


if __name__ == '__main__':
    main('--slow' in sys.argv)
