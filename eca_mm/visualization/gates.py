"""Listening to channel attentions while a model runs."""
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmpretrain.models.backbones import MobileNetV2
from torch import Tensor, nn

from eca_mm.layers import ChannelAttention
from eca_mm.utils.errors import UserError


def channel_attentions(model: nn.Module) -> dict[str, ChannelAttention]:
    """Find a model's channel attentions and name their blocks.

    Args:
        model (nn.Module): A model or a backbone.

    Returns:
        dict[str, ChannelAttention]: By name, in the order of the network. Blocks of ResNets have
        the paper's names, ``conv_2_1`` for ``layer1.0`` up to ``conv_5_3`` for ``layer4.2`` of
        ResNet-50; those of MobileNetV2 are ``bottleneck_1_1`` to ``bottleneck_7_1``. An attention
        elsewhere, or one of several in a block, goes by its path in the model.

    Raises:
        UserError: If there is none.
    """
    layers = {path: layer for path, layer in model.named_modules()
              if isinstance(layer, ChannelAttention)}
    if not layers:
        raise UserError('The model has no channel attention such as ECALayer or SELayer, whose '
                        'weights could be shown; choose the config of a model that has.')
    mobile = [path for path, module in model.named_modules() if isinstance(module, MobileNetV2)]
    names = {path: _block_name(path, mobile) for path in layers}
    times = Counter(names.values())
    return {names[path] if times[names[path]] == 1 else path: layer
            for path, layer in layers.items()}


def _block_name(path: str, mobile: list[str]) -> str:
    found = re.search(r'(?:^|\.)layer(\d+)\.(\d+)\.', path)
    if found is None:
        return path
    stage, block = int(found[1]), int(found[2]) + 1
    if any(path.startswith(f'{prefix}.' if prefix else '') for prefix in mobile):
        return f'bottleneck_{stage}_{block}'
    return f'conv_{stage + 1}_{block}'


def choose(names: list[str], wanted: list[str] | None) -> list[str]:
    """Pick blocks by name.

    Args:
        names (list[str]): Names of all blocks.
        wanted (list[str], optional): Those to pick. Defaults to all.

    Returns:
        list[str]: The picked names in the order of ``wanted``.

    Raises:
        UserError: If one of them is unknown.
    """
    for name in wanted or ():
        if name not in names:
            raise UserError(f'There is no attention in a block {name!r}; the blocks are '
                            f'{", ".join(names)}.')
    return list(dict.fromkeys(wanted or names))


@contextmanager
def record_gates(model: nn.Module) -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
    """Keep what goes into and comes out of all channel attentions in the last forward pass.

    It listens at :meth:`~eca_mm.layers.ChannelAttention.excite`, which every way of computing a
    block calls: the plain one, the fused ones and the inference forms.

    Args:
        model (nn.Module): A model in evaluation mode.

    Yields:
        dict[str, tuple[Tensor, Tensor]]: By the names of :func:`channel_attentions`, the channel
        averages and the channel weights, both of shape (N, C); empty before the first pass.

    Raises:
        UserError: If the model has no channel attention.
    """
    layers = channel_attentions(model)
    records: dict[str, tuple[Tensor, Tensor]] = {}
    for name, layer in layers.items():
        _listen(layer, name, records)
    try:
        yield records
    finally:
        for layer in layers.values():
            del layer.excite


def _listen(layer: ChannelAttention, name: str, records: dict) -> None:
    excite = layer.excite

    def listened(y: Tensor) -> Tensor:
        weights = excite(y)
        records[name] = y.detach(), weights.detach()
        return weights

    # On the instance: the class stays as it is, by which the fast forms know a layer.
    setattr(layer, 'excite', listened)  # noqa: B010  mypy takes an assignment for a mistake


@torch.no_grad()
def gates_of(model: nn.Module, inputs: list[Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Run images through a model's backbone and neck.

    Args:
        model (nn.Module): A classifier or detector in evaluation mode, listened to by
            :func:`record_gates` or not.
        inputs (list[Tensor]): Images (3, H, W) as the config's pipeline makes them; of different
            sizes they are padded, which changes their averages.

    Returns:
        dict[str, tuple[Tensor, Tensor]]: As :func:`record_gates` yields.
    """
    with record_gates(model) as records:
        batch = model.data_preprocessor({'inputs': inputs, 'data_samples': None}, False)
        model.extract_feat(batch['inputs'])
        return dict(records)
