"""Layers resolved to calls of functions, for as long as nobody changes them.

On a CPU a convolution pushes the interpreter's code and data out of the cache. Whatever Python does
between two operations on small maps then takes as long as the operations.
"""
from collections.abc import Callable
from itertools import chain
from operator import is_, itemgetter
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from eca_mm.layers.channel_attention import is_watched

from .clamp import InferenceReLU6

Form = TypeVar('Form')
_CONV_FORWARD = nn.Conv2d.forward
# Layers that treat every sample by itself.
_SAMPLE_BY_SAMPLE = (nn.Sequential, nn.Identity, nn.Conv2d, nn.ReLU, nn.ReLU6, nn.AvgPool2d,
                     InferenceReLU6)


class Contents:
    """What a module and its parts consist of, to notice every change.

    Args:
        module (nn.Module): Any module.
    """

    def __init__(self, module: nn.Module) -> None:
        parts = list(module.modules())
        # As little as possible, for looking at each object takes time.
        self._dicts: list[dict] = [found for part in parts
                                   for found in (part._modules, part._parameters)
                                   if found or isinstance(part, nn.Sequential)]
        self._values = list(_all_values(self._dicts))
        self._owner = module._modules
        self._sized = self._dicts + [vars(part) for part in parts]
        self._sizes = list(map(len, self._sized))
        # Layers of a kind are read one after the other.
        kinds: dict[tuple[str, ...], list[dict]] = {}
        for part in parts:
            kinds.setdefault(_settings_of(part), []).append(vars(part))
        self._settings = [(itemgetter(*names), found) for names, found in kinds.items() if names]
        self._set = [list(map(get, found)) for get, found in self._settings]
        self._hooks = [hooks for part in parts
                       for hooks in (part._forward_hooks, part._forward_pre_hooks)]
        self._numbers_of_hooks = list(map(len, self._hooks))
        self._is_hooked = any(self._numbers_of_hooks)
        self._newest_hook = RemovableHandle.next_id

    def are_those_of(self, module: nn.Module) -> bool:
        """Tell whether nothing has changed.

        Args:
            module (nn.Module): The module; a copy of it has other contents.

        Returns:
            bool: Whether everything is the same object as before, and nobody has begun or ceased
            to listen. What changes within an object, the values of a weight, does not count.
        """
        return (self._owner is module._modules
                and list(map(len, self._sized)) == self._sizes
                and all(map(is_, _all_values(self._dicts), self._values))
                and [list(map(get, found)) for get, found in self._settings] == self._set
                # Hooks are numbered throughout the process, so that mostly nothing is looked at.
                and ((not self._is_hooked and RemovableHandle.next_id == self._newest_hook)
                     or self._are_hooks_the_same()))

    def _are_hooks_the_same(self) -> bool:
        self._newest_hook = RemovableHandle.next_id
        return list(map(len, self._hooks)) == self._numbers_of_hooks


def resolved_form(module: nn.Module, resolve: Callable[[], Form]) -> Form:
    """Resolve a module, anew whenever a part of it has changed.

    Args:
        module (nn.Module): The module, which keeps the result as ``_on_cpu``.
        resolve (Callable): Resolves it.

    Returns:
        Form: What that returned.
    """
    found = module._on_cpu
    if found is None or not found[0].are_those_of(module):
        module._on_cpu = found = Contents(module), resolve()
    return found[1]


def _all_values(dicts: list[dict]) -> chain:
    return chain.from_iterable(map(dict.values, dicts))


def _settings_of(layer: nn.Module) -> tuple[str, ...]:
    """Names of the simple attributes that decide what a layer computes."""
    if type(layer) in (nn.Conv1d, nn.Conv2d):
        return 'stride', 'padding', 'dilation', 'groups', 'padding_mode'
    if type(layer) in _IN_PLACE:
        return ()
    return tuple(name for name, value in vars(layer).items() if not name.startswith('_')
                 and name != 'training' and isinstance(value, int | float | str | tuple))


def is_plain_conv(layer: nn.Module) -> bool:
    """Tell whether a layer is an ordinary 2-D convolution that nobody watches.

    Args:
        layer (nn.Module): Any layer.

    Returns:
        bool: Whether calling it does nothing but convolve with zeros beyond the edges.
    """
    return (type(layer) is nn.Conv2d and layer.padding_mode == 'zeros' and not is_watched(layer)
            and 'forward' not in vars(layer) and nn.Conv2d.forward is _CONV_FORWARD)


def convolution(conv: nn.Conv2d) -> tuple[Any, ...]:
    """Give the arguments of ``torch.conv2d`` after the first.

    Args:
        conv (nn.Conv2d): A convolution for which :func:`is_plain_conv` holds.

    Returns:
        tuple: Weight, bias, stride, padding, dilation and groups.
    """
    return conv.weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups


def in_place_activation(layer: nn.Module | None) -> Callable[[Tensor], Tensor] | None:
    """Find the function that activates a map in place.

    Args:
        layer (nn.Module | None): Any layer.

    Returns:
        Callable | None: Of a ReLU or ReLU6 that nobody watches; None for others.
    """
    if layer is None or is_watched(layer) or 'forward' in vars(layer):
        return None
    return _IN_PLACE.get(type(layer))


def _clamp(x: Tensor) -> Tensor:
    return x.clamp_(0, 6)


_IN_PLACE: dict[type, Callable[[Tensor], Tensor]] = {
    nn.ReLU: Tensor.relu_, nn.ReLU6: _clamp, InferenceReLU6: _clamp}


def treats_samples_alone(layers: nn.Module | None) -> bool:
    """Tell whether layers do the same for a batch as for each of its samples.

    Args:
        layers (nn.Module | None): Any module, None for none.

    Returns:
        bool: False also where anybody listens, who would hear of pieces.
    """
    return layers is None or (not is_watched(layers) and all(
        type(part) in _SAMPLE_BY_SAMPLE and 'forward' not in vars(part)
        for part in layers.modules()))


class LayerPlan:
    """One layer, or several in a row, as calls of functions.

    Args:
        layers (nn.Module): A layer, or an ``nn.Sequential``.

    Attributes:
        owns_output (bool): Whether the output is a new map that nobody else has.
        largest_map (float): Size of the largest map that its convolutions put out beside that of
            one channel of the input.
    """

    def __init__(self, layers: nn.Module) -> None:
        self.owns_output = False
        self.largest_map = _largest_map(layers)
        in_a_row = (type(layers) is nn.Sequential and 'forward' not in vars(layers)
                    and not layers._forward_hooks and not layers._forward_pre_hooks)
        # A function, and the arguments after the map.
        self._calls: list[tuple[Callable[..., Tensor], tuple]] = []
        for layer in layers if in_a_row else [layers]:
            # What folding has left of a normalisation.
            if type(layer) is nn.Identity and not is_watched(layer):
                continue
            in_place = in_place_activation(layer)
            if is_plain_conv(layer):
                self._calls.append((torch.conv2d, convolution(layer)))
                self.owns_output = True
            elif self.owns_output and in_place is not None:
                # Even if the activation itself is not in place.
                self._calls.append((in_place, ()))
            else:
                self._calls.append((layer, ()))
                self.owns_output = False

    def __call__(self, x: Tensor) -> Tensor:
        """Run the layers.

        Args:
            x (Tensor): Their input, of shape (N, C, H, W).

        Returns:
            Tensor: Their output.
        """
        for function, arguments in self._calls:
            x = function(x, *arguments)
        return x


def _largest_map(layers: nn.Module) -> float:
    area, largest = 1, 0.
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d):
            area *= layer.stride[0] * layer.stride[1]
            largest = max(largest, layer.out_channels / area)
    return largest
