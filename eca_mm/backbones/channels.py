"""The number of channels of a map in a network, from the module or from one run on zeros."""
from typing import Any

import torch
from torch import Tensor, nn

from .places import Place

# Large enough for every stride and pooling of the known networks; some accept only one size.
SIZES = (128, 224)
# YOLOX's stem puts every 2 x 2 pixels into the channels of one.
_FOCUS = 'mmdet.models.backbones.csp_darknet.Focus'


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
        convolutions = [part for part in module.modules()
                        if isinstance(part, nn.Conv2d | nn.Linear | nn.Conv1d)]
        first = convolutions[0]
        return first.in_features if isinstance(first, nn.Linear) else first.in_channels
    if place.kind != 'after':
        return None
    if isinstance(module, nn.Linear | nn.Conv1d | nn.Embedding):
        raise ValueError(f'{place.name} is a {type(module).__name__}, which does not output a map '
                         '(N, C, H, W); name a module that does.')
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return module.num_features
    if isinstance(module, nn.GroupNorm):
        return module.num_channels
    return module.out_channels if isinstance(module, nn.Conv2d) else None


def _by_running(network: nn.Module, places: list[Place]) -> dict[str, int]:
    seen: dict[str, Any] = {}
    names = {place.name: place for place in places}

    def watch(name: str, before: bool) -> Any:
        def hook(module: nn.Module, inputs: tuple, output: Any) -> None:
            seen[name] = inputs[0] if before else output
        return hook

    handles = [network.get_submodule(name).register_forward_hook(
        watch(name, place.kind == 'before')) for name, place in names.items()]
    modes = {module: module.training for module in network.modules()}
    try:
        for module in modes:
            # Not eval(), which freezes and unfreezes in some networks.
            module.training = False
        with torch.no_grad():
            try:
                network(_zeros(network, SIZES[0]))
            except Exception:  # every network has its own way to refuse an input
                network(_zeros(network, SIZES[1]))
    except Exception as error:
        absent = [name for name in names if name not in seen]
        if absent:
            reason = str(error).strip().split('\n')[0]
            raise ValueError(
                f'The channels of {absent[0]} are not known: it does not state them, and '
                f'{type(network).__name__} does not run on zeros ({reason}); name a normalisation '
                'or convolution instead.') from error
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
    return {name: _channels(name, seen, network) for name in names}


def _channels(name: str, seen: dict, network: nn.Module) -> int:
    if name not in seen:
        raise ValueError(f'{name} is not called when {type(network).__name__} runs, so that an '
                         'attention there would have no effect; name another module.')
    output = seen[name]
    if not isinstance(output, Tensor) or output.dim() != 4:
        what = (f'a tensor of shape {tuple(output.shape)}' if isinstance(output, Tensor)
                else f'a {type(output).__name__}')
        raise ValueError(f'{name} outputs {what}, but an attention needs a map (N, C, H, W); name '
                         'a module that outputs one.')
    return output.size(1)


def _zeros(network: nn.Module, size: int) -> Tensor | tuple[Tensor, ...]:
    parameter = next(network.parameters())
    # A neck takes one map per level, the largest first.
    widths = getattr(network, 'in_channels', None)
    if isinstance(widths, list | tuple):
        return tuple(parameter.new_zeros(1, width, size >> i, size >> i)
                     for i, width in enumerate(widths))
    return parameter.new_zeros(1, image_channels(network), size, size)


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
