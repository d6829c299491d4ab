"""Freeze only what has been loaded.

A frozen stage keeps what pretraining has found. An attention that is added to a pretrained network
is not among that: frozen, it would keep its random start forever. So a frozen stage freezes an
attention only if the weights that training starts from contain it, and trains it otherwise.

Loading decides it, for the network alone by ``load_state_dict`` and so by ``init_weights`` with
pretrained weights. Distributed training needs to know before the model is wrapped, because the
wrapper's set of parameters is fixed: :mod:`eca_mm.engine.frozen_attention` looks at what will be
loaded and calls :func:`decide`, after which loading changes nothing any more.
"""
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mmengine.logging import print_log
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from eca_mm import layers

from .attention_block import AttentionBlock

LAYERS = tuple(kind for kind in vars(layers).values()
               if isinstance(kind, type) and issubclass(kind, nn.Module))
_STATE = '_frozen_stage_attention'


@dataclass
class _State:
    """What a network knows about its attentions, by their names in it."""

    loaded: set[str] = field(default_factory=set)
    frozen: dict[str, bool] = field(default_factory=dict)
    decided: bool = False


@contextmanager
def keep_unloaded_trainable(network: nn.Module) -> Iterator[None]:
    """Let what freezes the stages of a network spare the attentions that were never loaded.

    A network calls it around its own freezing, every time that it freezes::

        with keep_unloaded_trainable(self):
            super()._freeze_stages()

    Args:
        network (nn.Module): A backbone; any network with our layers somewhere in it.
    """
    attentions = {name: layer for name, layer in _attentions(network) if _is_trained(layer)}
    yield
    for name, layer in attentions.items():
        if _is_trained(layer):
            continue
        state = _state(network)
        if not state.frozen.setdefault(name, name in state.loaded):
            _set_trained(network, layer, True)


def frozen_attention(model: nn.Module) -> dict[str, bool]:
    """The attentions in frozen stages of a model.

    Args:
        model (nn.Module): A detector, a classifier or a network alone.

    Returns:
        dict[str, bool]: By name whether it is frozen, too, rather than trained.
    """
    return {f'{prefix}{name}': frozen for prefix, network in _networks(model)
            for name, frozen in _state(network).frozen.items()}


def decide(model: nn.Module, is_frozen: Callable[[str, nn.Module], bool]) -> None:
    """Choose which attentions in frozen stages are frozen, whatever is loaded afterwards.

    Args:
        model (nn.Module): A model that no wrapper knows yet.
        is_frozen (Callable[[str, nn.Module], bool]): Says it of an attention, given its name in
            the model and the layer.
    """
    for prefix, network in _networks(model):
        state = _state(network)
        for name in state.frozen:
            layer = network.get_submodule(name)
            state.frozen[name] = is_frozen(f'{prefix}{name}', layer)
            _set_trained(network, layer, not state.frozen[name])
        state.decided = True
        _report(state)


def was_loaded(model: nn.Module, name: str) -> bool:
    """Tell whether an attention's weights have been loaded already.

    Args:
        model (nn.Module): A model.
        name (str): The attention's name in it.

    Returns:
        bool: Whether a state dict that was loaded had all of them.
    """
    return any(name.startswith(prefix) and name[len(prefix):] in _state(network).loaded
               for prefix, network in _networks(model))


def contains(weights: dict[str, Tensor], name: str, layer: nn.Module) -> bool:
    """Tell whether weights fill a layer.

    Args:
        weights (dict[str, Tensor]): A state dict.
        name (str): The layer's name in it, without a dot at its end.
        layer (nn.Module): The layer.

    Returns:
        bool: Whether all of its parameters are there, in their shapes.
    """
    return all(getattr(weights.get(f'{name}.{key}'), 'shape', None) == parameter.shape
               for key, parameter in layer.named_parameters())


def _attentions(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The attentions, without those nested in another one."""
    found: list[str] = []
    of_blocks = {id(module.attention) for module in network.modules()
                 if isinstance(module, AttentionBlock)}
    for name, module in network.named_modules():
        inside = name.startswith(tuple(f'{other}.' for other in found))
        if not inside and (isinstance(module, LAYERS) or id(module) in of_blocks):
            found.append(name)
            yield name, module


def _networks(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, module in model.named_modules():
        if _STATE in vars(module):
            yield f'{name}.' if name else '', module


def _state(network: nn.Module) -> _State:
    if _STATE not in vars(network):
        setattr(network, _STATE, _State())
        network._register_load_state_dict_pre_hook(_note_loading, with_module=True)
    return vars(network)[_STATE]


def _note_loading(network: nn.Module, state_dict: dict, prefix: str,
                  *args: Any) -> None:
    state = _state(network)
    state.loaded |= {name for name, layer in _attentions(network)
                     if contains(state_dict, f'{prefix}{name}', layer)}
    if state.decided or not any(key.startswith(prefix) for key in state_dict):
        return
    for name, frozen in state.frozen.items():
        if not frozen and name in state.loaded:
            state.frozen[name] = True
            _set_trained(network, network.get_submodule(name), False)
    _report(state)


def _report(state: _State) -> None:
    trained = [name for name, frozen in state.frozen.items() if not frozen]
    if trained:
        print_log(f'The weights that training starts from do not contain the attention of frozen '
                  f'stages ({len(trained)} layers: {", ".join(trained)}); it is trained, and '
                  'everything else in these stages stays frozen.', logger='current')


def _is_trained(layer: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in layer.parameters())


def _set_trained(network: nn.Module, layer: nn.Module, trained: bool) -> None:
    layer.requires_grad_(trained)
    layer.train(trained and network.training)
    if getattr(network, 'norm_eval', False):
        for module in layer.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
