"""The number of channels of a map in a network, from the module or from one run on zeros."""
import copy
from collections.abc import Iterator
from typing import Any

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from .attachment import original_class
from .places import Place, is_norm

# Large enough for every stride and pooling of the known networks; some accept only one size.
SIZES = (128, 224)
# What the heads of detectors take: maps of as many levels, the largest first.
LEVELS = (5, 3)
# YOLOX's stem puts every 2 x 2 pixels into the channels of one.
_FOCUS = 'mmdet.models.backbones.csp_darknet.Focus'
# Modules of these packages keep the channels of what they work on.
_KEEPING = tuple(f'torch.nn.modules.{name}' for name in ('activation', 'dropout', 'pooling'))
_OF_SEQUENCES = (nn.BatchNorm1d, nn.BatchNorm3d, nn.InstanceNorm1d, nn.InstanceNorm3d)


def find_channels(network: nn.Module, places: list[Place]) -> list[int]:
    """Find the number of channels that the attention at each place sees.

    Args:
        network (nn.Module): The network.
        places (list[Place]): Places in it.

    Returns:
        list[int]: One number per place.

    Raises:
        ValueError: If a module does not output a map (N, C, H, W), or its channels are found
            neither in its attributes nor by running the network.
    """
    stated = {place.name: _stated(network, place) for place in places}
    found = {name: width for name, width in stated.items() if width is not None}
    unknown = [place for place in places if place.name not in found]
    if unknown:
        found.update(_by_running(network, unknown))
    return [found[place.name] for place in places]


def _stated(network: nn.Module, place: Place) -> int | None:
    """Channels that a module states; None if it does not."""
    if place.kind == 'sum':
        return network.get_submodule(place.owner).out_channels
    module = network.get_submodule(place.name)
    if place.kind == 'replace':
        first = next((part for part in module.modules()
                      if isinstance(part, nn.Conv2d | nn.Linear)), None)
        return getattr(first, 'in_features', None) or getattr(first, 'in_channels', None)
    if place.kind != 'after':
        return None
    if isinstance(module, nn.Linear | nn.Embedding | nn.LayerNorm) and (
            type(module).__module__.startswith('torch.nn.')):
        raise _no_map(place.name, f'is a {type(module).__name__}, which does not output')
    return _output_channels(module, place.name)


def _output_channels(module: nn.Module, name: str) -> int | None:
    if isinstance(module, nn.modules.conv._ConvNd):
        if module.weight.dim() != 4:
            raise _no_map(name, f'is a {original_class(module).__name__}, which does not output')
        return module.out_channels
    if isinstance(module, _OF_SEQUENCES):
        raise _no_map(name, f'is a {original_class(module).__name__}, which does not output')
    if isinstance(module, nn.modules.batchnorm._NormBase):
        return module.num_features
    if isinstance(module, nn.GroupNorm):
        return module.num_channels
    if isinstance(module, ConvModule) and original_class(module) is ConvModule:
        return _output_channels(module.conv, name)
    if is_norm(module) and isinstance(getattr(module, 'weight', None), Tensor):
        return module.weight.numel()
    if original_class(module) is nn.Sequential:
        for child in reversed(module):
            if not original_class(child).__module__.startswith(_KEEPING):
                return _output_channels(child, name)
    return None


def _by_running(network: nn.Module, places: list[Place]) -> dict[str, int]:
    # A copy: eval() freezes and unfreezes in some networks, and some keep what they computed.
    tried = copy.deepcopy(network)
    tried.eval()
    names = {place.name: place for place in places}
    seen: dict[str, Any] = {}

    def watch(name: str, before: bool) -> Any:
        def hook(module: nn.Module, inputs: tuple, output: Any) -> None:
            seen[name] = inputs[0] if before else output
        return hook

    for name, place in names.items():
        tried.get_submodule(name).register_forward_hook(watch(name, place.kind == 'before'))
    failure: Exception | None = None
    best: dict[str, Any] = {}
    for zeros in _inputs(network):
        seen.clear()
        try:
            with torch.no_grad():
                tried(zeros)
        except Exception as error:  # every network has its own way to refuse an input
            failure = failure or error
        if sum(map(_is_map, seen.values())) > sum(map(_is_map, best.values())) or not best:
            best = dict(seen)
        if len(best) == len(names) and all(map(_is_map, best.values())):
            failure = None
            break
    absent = [name for name in names if name not in best]
    if failure is not None and absent:
        reason = str(failure).strip().split('\n')[0]
        raise ValueError(
            f'The channels of {absent[0]} are not known: it does not state them, and '
            f'{original_class(network).__name__} does not run on zeros ({reason}); name a '
            'normalisation or convolution instead.') from failure
    return {name: _channels(name, best, network) for name in names}


def _is_map(output: Any) -> bool:
    return isinstance(output, Tensor) and output.dim() == 4


def _channels(name: str, seen: dict, network: nn.Module) -> int:
    if name not in seen:
        raise ValueError(f'{name} is not called when {original_class(network).__name__} runs, so '
                         'that an attention there would have no effect; name another module.')
    output = seen[name]
    if not _is_map(output):
        what = (f'a tensor of shape {tuple(output.shape)}' if isinstance(output, Tensor)
                else f'a {type(output).__name__}')
        raise _no_map(name, f'outputs {what}, but an attention needs')
    return output.size(1)


def _no_map(name: str, what: str) -> ValueError:
    return ValueError(f'{name} {what} a map (N, C, H, W); name a module that outputs one.')


def _inputs(network: nn.Module) -> Iterator[Tensor | tuple[Tensor, ...]]:
    """What a network may take: maps of several levels for necks and heads, else images."""
    parameter = next(network.parameters(), torch.zeros(()))
    widths = getattr(network, 'in_channels', None)
    if isinstance(widths, list | tuple):
        yield tuple(parameter.new_zeros(1, width, SIZES[0] >> i, SIZES[0] >> i)
                    for i, width in enumerate(widths))
    elif isinstance(widths, int):
        # A tuple ends at the first convolution of what takes an image.
        for levels in LEVELS:
            yield tuple(parameter.new_zeros(1, widths, SIZES[0] >> i, SIZES[0] >> i)
                        for i in range(levels))
    for size in SIZES:
        yield parameter.new_zeros(1, image_channels(network), size, size)


def image_channels(network: nn.Module) -> int:
    """Channels of the images that a network takes: what its first convolution does.

    Args:
        network (nn.Module): A backbone, or a model that begins with one.

    Returns:
        int: The number of channels; 3 for a network without convolutions.
    """
    focused = 1
    for module in network.modules():
        if f'{type(module).__module__}.{type(module).__qualname__}' == _FOCUS:
            focused = 4
        if isinstance(module, nn.Conv2d):
            return module.in_channels // focused
    return 3
