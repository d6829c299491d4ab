"""Counting operations in the conventions behind the paper's numbers.

One pass through a model tells how often every kind of operation occurs; a convention is a weight
for every kind. Existing counters cannot carry these conventions. mmengine's analyser, whose
convention is one of them, has to compute what it counts: its tracer rejects tensors without data.
`torch.utils.flop_counter` sees ATen operations and gives each of them one number. There a fully
connected layer is a matrix product, a transposed convolution a convolution and global pooling a
mean, which the paper counts differently, with biases and outputs counted apart.
"""
from collections import Counter
from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import torch
from mmdet.models.detectors import BaseDetector
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from eca_mm.backbones.two_stream import input_channels

PLAIN: Mapping[str, int] = dict(
    conv=1, deconv=1, linear=1, matmul=1, batch_norm=2, layer_norm=1, attention_pool=1,
    global_pool=1, resize=1)
"""What mmengine's analyser counts, and the metafiles with it: multiply-adds, normalisation at
test time, pooling and resizing."""

IMAGENET: Mapping[str, int] = dict(
    conv=1, deconv=1, linear=2, linear_outputs=-1, batch_norm=4, relu=1, functional_relu=1,
    attention_pool=1)
"""Table 3: 4 operations per normalised element, 1 per ReLU, additions and multiplications of
fully connected layers, and the pooling inside attentions."""

IMAGENET_WITHOUT_RELU: Mapping[str, int] = {
    kind: weight for kind, weight in IMAGENET.items() if 'relu' not in kind}
"""Table 7."""

DETECTION: Mapping[str, int] = dict(
    conv=1, deconv_outputs=1, linear=1, bias=1, batch_norm=2, relu=1, attention_pool=1, max_pool=1)
"""Table 5: the counter of MMDetection 1.x. It saw modules, hence neither the RPN's functional
ReLU nor the FPN's resizing, and charged a transposed convolution per position of its output."""


class _Counter(TorchFunctionMode):
    """Counts the operations that are called in its context, by kind."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_function__(self, function: Callable, types: object, args: tuple = (),
                           kwargs: dict | None = None) -> Any:
        """Call a function of torch and count what it does."""
        out = function(*args, **(kwargs or {}))
        count = _COUNTING.get(function)
        if count is not None:
            self.counts.update(count(out, *args, **(kwargs or {})))
        return out


def count_operations(model: nn.Module, shape: tuple[int, int]) -> Counter:
    """Count the operations of one image by kind, without computing anything.

    A detector's heads get as many regions as the paper counts, 1000 proposals and 100 masks,
    whatever an untrained network would propose.

    Args:
        model (nn.Module): A classifier or detector in evaluation mode. It is moved to the meta
            device, so its weights are lost.
        shape (tuple[int, int]): Height and width of the input in pixels.

    Returns:
        Counter: How many there are of each kind: multiply-adds (``conv``, ``linear``, ``matmul``
        and ``deconv``, also as ``deconv_outputs`` when charged per output position), elements
        that are normalised, rectified, pooled, resized or biased (``batch_norm``, ``relu``,
        ``attention_pool``, ``bias`` ...), and outputs of fully connected layers.
    """
    model = model.to('meta')

    def run(part: nn.Module, inputs: Any) -> Any:
        with torch.no_grad(), _Counter() as counter:
            out = part(inputs)
        counts.update(counter.counts)
        return out

    counts: Counter[str] = Counter()
    features = run(model.backbone, torch.empty(1, input_channels(model), *shape, device='meta'))
    # What is pooled so far is pooled by attentions, what the neck pools is not.
    counts['attention_pool'] = counts.pop('global_pool', 0)
    if model.with_neck:
        features = run(model.neck, features)
    if not isinstance(model, BaseDetector):
        run(model.head, features)
    elif not getattr(model, 'with_rpn', False):
        run(model.bbox_head, features)
    else:
        rectified = counts['relu']
        run(model.rpn_head, features)
        counts['functional_relu'] = counts['relu'] - rectified
        counts['relu'] = rectified
        for head, extractor, regions in (('bbox_head', 'bbox_roi_extractor', 1000),
                                         ('mask_head', 'mask_roi_extractor', 100)):
            if hasattr(model.roi_head, head):
                size = getattr(model.roi_head, extractor).roi_layers[0].output_size
                run(getattr(model.roi_head, head),
                    features[0].new_empty(regions, features[0].size(1), *size))
    return counts


def total(counts: Mapping[str, float], convention: Mapping[str, int]) -> int:
    """Add up operations in a convention.

    Args:
        counts (Mapping[str, float]): Number of operations of each kind.
        convention (Mapping[str, int]): How much one operation of each kind counts; kinds that
            are not named do not count.

    Returns:
        int: Number of operations.
    """
    return int(sum(weight * counts.get(kind, 0) for kind, weight in convention.items()))


def background_class_cost(model: nn.Module) -> tuple[int, Counter]:
    """Cost of the background class, which only the two-stage heads of MMDetection 1.x predict.

    They treated the background as one more class also in box regression and in masks.

    Args:
        model (nn.Module): A classifier or detector.

    Returns:
        tuple[int, Counter]: Number of parameters, and of operations by kind; nothing for models
        without region heads.
    """
    if not getattr(model, 'with_roi_head', False):
        return 0, Counter()
    inputs = model.roi_head.bbox_head.fc_reg.in_features
    params, counts = 4 * (inputs + 1), Counter(linear=1000 * 4 * inputs)
    if model.roi_head.with_mask:
        head = model.roi_head.mask_head
        inputs = head.conv_logits.in_channels
        positions = 100 * prod(2 * size for size in head.roi_feat_size)
        params += inputs + 1
        counts.update(conv=positions * inputs, bias=positions)
    return params, counts


def _convolution(out: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None,
                 *args) -> Counter:
    # Each output element uses the weights of its output channel.
    return Counter(conv=out.numel() * weight[0].numel(), bias=_bias(out, bias))


def _transposed_convolution(out: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None,
                            *args) -> Counter:
    once = x.numel() * weight[0].numel()
    return Counter(deconv=once, deconv_outputs=once * out[0, 0].numel() // x[0, 0].numel(),
                   bias=_bias(out, bias))


def _bias(out: Tensor, bias: Tensor | None) -> int:
    return 0 if bias is None else out.numel()


def _linear(out: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Counter:
    return Counter(linear=x.numel() * weight.size(0), linear_outputs=out.numel())


def _product(out: Tensor, left: Tensor, right: Tensor) -> Counter:
    return Counter(matmul=out.numel() * left.size(-1))


def _einsum(out: Tensor, equation: str, *operands: Tensor) -> Counter:
    sizes: dict[str, int] = {}
    for letters, operand in zip(equation.split('->')[0].split(','), operands, strict=True):
        sizes.update(zip(letters.strip(), operand.shape, strict=True))
    return Counter(matmul=prod(sizes.values()))


def _elements(kind: str, weight: int = 1) -> Callable[..., Counter]:
    """Count the elements that an operation reads."""
    return lambda out, x, *args, **kwargs: Counter({kind: weight * x.numel()})


def _resized(out: Tensor, x: Tensor, *args, mode: str = 'nearest', **kwargs) -> Counter:
    return Counter(resize=out.numel() * (4 if mode == 'bilinear' else 1))


_COUNTING: dict[Callable, Callable[..., Counter]] = {
    F.conv1d: _convolution,
    F.conv2d: _convolution,
    F.conv_transpose2d: _transposed_convolution,
    F.linear: _linear,
    torch.matmul: _product,
    torch.bmm: _product,
    Tensor.matmul: _product,
    Tensor.__matmul__: _product,
    torch.einsum: _einsum,
    F.batch_norm: _elements('batch_norm'),
    F.layer_norm: _elements('layer_norm', 5),
    F.relu: _elements('relu'),
    F.relu6: _elements('relu'),
    F.hardtanh: _elements('relu'),
    F.leaky_relu: _elements('relu'),
    F.adaptive_avg_pool2d: _elements('global_pool'),
    F.max_pool2d: _elements('max_pool'),
    F.interpolate: _resized,
}
