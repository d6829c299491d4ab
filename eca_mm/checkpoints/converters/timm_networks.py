"""Weights of timm's ECA networks that are not ResNets, for MMPretrain's ``TIMMBackbone``."""
from collections.abc import Mapping

import torch
from torch import Tensor

from eca_mm.utils.errors import UserError

from .conversion import Conversion, convert

NAMES = ('eca_resnet33ts', 'eca_resnext26ts', 'eca_vovnet39b', 'eca_botnext26ts_256',
         'eca_halonext26ts', 'eca_nfnet_l0', 'eca_nfnet_l1', 'eca_nfnet_l2', 'eca_nfnet_l3',
         'nf_ecaresnet26', 'nf_ecaresnet50', 'nf_ecaresnet101')
_HEAD = 'head.fc.'


def is_other_network(weights: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has the names of these networks rather than a ResNet's.

    Args:
        weights (Mapping[str, Tensor]): A state dict of timm.

    Returns:
        bool: Whether there are stages and a stem.
    """
    return any(name.startswith('stages.') for name in weights) and any(
        name.startswith('stem.') for name in weights)


def from_other_network(weights: Mapping[str, Tensor], notes: list[str]) -> Conversion:
    """Convert weights of one of :data:`NAMES`, which is found by names and shapes.

    Args:
        weights (Mapping[str, Tensor]): timm's state dict; the classifier may be of any size or
            absent.
        notes (list[str]): What the user should know besides.

    Returns:
        Conversion: The weights for a classifier with a ``TIMMBackbone``, and its config.

    Raises:
        UserError: If they are those of none of these networks, or timm is not installed.
        MisfitError: If they are not complete.
    """
    network = _recognise(weights)
    names = {name: name if name.startswith(_HEAD) else f'backbone.timm_model.{name}'
             for name in weights}
    file = network.removesuffix('_256').replace('_', '-', 1)
    bases = [f'eca_timm/{each}_8xb32_in1k.py' for each in (file, 'eca-resnext26ts')]
    return convert(weights, names, bases, dict(type='TIMMBackbone', model_name=network), notes)


def _recognise(weights: Mapping[str, Tensor]) -> str:
    try:
        import timm
    except ImportError as error:
        raise UserError('The weights seem to be those of a network that timm builds; install timm '
                        '(pip install timm).') from error
    shapes = _shapes(weights)
    for name in set(NAMES) & set(timm.list_models()):
        with torch.device('meta'):
            expected = _shapes(timm.create_model(name).state_dict())
        if expected == shapes:
            return name
    raise UserError('The weights are those of none of the ECA networks of timm that are converted: '
                    f'its ECA-ResNets, {", ".join(NAMES)}.')


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in weights.items()
            if not name.startswith(_HEAD)}
