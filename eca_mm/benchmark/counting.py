"""How many operations a network starts on an accelerator, and how many bytes they move.

A network runs on the ``meta`` device, where every operation has shapes but no values, so that the
counts need no GPU and are the same on every machine. They say nothing about time: a kernel that
reads its input twice, or badly, counts as one that does not.
"""
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from .networks import WeightPool, build_entry, parse_entry
from .report import Report
from .steps import DTYPES, Settings

DEFAULT_MODELS = {
    True: ('resnet50', 'eca_resnet50', 'eca_resnet50_unfused', 'se_resnet50', 'mobilenet_v2',
           'eca_mobilenet_v2', 'eca_mobilenet_v2_unfused'),
    False: ('resnet50_fused', 'eca_resnet50_fused', 'se_resnet50_fused', 'mobilenet_v2_fused',
            'eca_mobilenet_v2_fused')}
# What CUDA's autocast computes in half precision, as far as it occurs in backbones.
_IN_HALF = {torch.conv1d, torch.conv2d, torch.conv3d, nn.functional.linear, torch.matmul,
            torch.mm, torch.bmm, torch.addmm, torch.baddbmm, Tensor.matmul, Tensor.__matmul__,
            Tensor.mm, Tensor.bmm}


class OperationCounter(TorchDispatchMode):
    """Counts the operations within its context, and the bytes of all their inputs and outputs.

    Views and the allocation of memory start no kernel and do not count.

    Attributes:
        operations (int): Number of operations.
        bytes (int): Sum over them of the sizes of all tensors that they take and return.
        by_name (dict[str, tuple[int, int]]): Both, for every operator.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0
        self.bytes = 0
        self.by_name: dict[str, tuple[int, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Iterable[type], args: tuple = (),
                           kwargs: dict | None = None) -> Any:
        """Run an operator and count it."""
        result = func(*args, **(kwargs or {}))
        name = str(func)
        if not (func.is_view or name.startswith(('aten.empty', 'aten.new_empty'))):
            size = sum(value.numel() * value.element_size()
                       for value in tree_flatten((args, kwargs, result))[0]
                       if isinstance(value, Tensor))
            self.operations += 1
            self.bytes += size
            count, moved = self.by_name.get(name, (0, 0))
            self.by_name[name] = count + 1, moved + size
        return result


class MetaAutocast(TorchFunctionMode):
    """What ``torch.autocast`` does on CUDA, for the meta device, which has no autocast.

    Args:
        dtype (torch.dtype): Type that convolutions and matrix products are computed in.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype
        self._weights: dict[int, Tensor] = {}

    def __torch_function__(self, func: Callable, types: Iterable[type], args: tuple = (),
                           kwargs: dict | None = None) -> Any:
        """Call a function, with its arguments converted if it is one of those."""
        kwargs = kwargs or {}
        if func in _IN_HALF:
            args = tuple(map(self._cast, args))
            kwargs = {name: self._cast(value) for name, value in kwargs.items()}
        return func(*args, **kwargs)

    def _cast(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or value.dtype is not torch.float32:
            return value
        if not (value.is_leaf and value.requires_grad):
            return value.to(self._dtype)
        # Autocast converts a weight once, however often it is used.
        if id(value) not in self._weights:
            self._weights[id(value)] = value.to(self._dtype)
        return self._weights[id(value)]


def count_backbone(model: nn.Module, settings: Settings) -> OperationCounter:
    """Count one pass through a backbone; in training also back from the mean of its last map.

    Args:
        model (nn.Module): A backbone, or a network that has one as ``backbone``; it is moved to
            the meta device and loses its weights.
        settings (Settings): Batch, shape, and whether to train; ``dtype`` is that of mixed
            precision.

    Returns:
        OperationCounter: What was counted.
    """
    backbone = getattr(model, 'backbone', model).to('meta')
    # mmpretrain's train() returns nothing.
    backbone.train(settings.training)
    images = torch.empty(settings.batch, 3, *settings.shape, device='meta')
    dtype = DTYPES[settings.dtype]
    counter = OperationCounter()
    with counter, torch.set_grad_enabled(settings.training):
        if dtype is torch.float32:
            out = backbone(images)
        else:
            with MetaAutocast(dtype):
                out = backbone(images)
        if settings.training:
            (out if isinstance(out, Tensor) else out[-1]).mean().backward()
    return counter


def measure_counts(names: list[str] | None, settings: Settings) -> Report:
    """Count operations and bytes of backbones.

    Args:
        names (list[str] | None): Networks, as the other modes name them; None for ResNet-50 and
            MobileNetV2 with and without attention.
        settings (Settings): How they are run; the device does not matter.

    Returns:
        Report: By name ``operations`` and ``gigabytes`` (10^9 bytes).

    Raises:
        UserError: If there is no such network, or no such form of it.
    """
    figures = {}
    for name in names or DEFAULT_MODELS[settings.training]:
        entry = parse_entry(name, settings.training)
        counter = count_backbone(build_entry(entry, WeightPool()), settings)
        figures[entry.name] = dict(operations=counter.operations, gigabytes=counter.bytes / 1e9)
    rows = [[name, str(found['operations']), f'{found["gigabytes"]:.1f}']
            for name, found in figures.items()]
    bars = {title: {name: (found[key], ) * 3 for name, found in figures.items()}
            for title, key in (('operations', 'operations'), ('GB', 'gigabytes'))}
    return Report(figures, ['', 'operations', 'GB'], rows, 'operations and GB moved', bars)
