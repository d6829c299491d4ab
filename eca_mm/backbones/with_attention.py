"""ECA, or any other attention, in a network that was written without it."""
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmcv.cnn.bricks import build_plugin_layer
from mmengine.logging import print_log
from mmengine.registry import MODELS
from torch import nn

from eca_mm.compat.registries import ours_first
from eca_mm.utils.signatures import nearest

from .attachment import (
    CONTAINERS,
    attach,
    carries_layer,
    keep_shared,
    original_class,
    spare_unloaded,
)
from .attention_block import attention_per_block
from .channels import find_channels
from .freezing import LAYERS
from .known_blocks import ATTENTIONS
from .places import Place, find_places, matching_places, qualified_names, stage_of


@dataclass(frozen=True)
class AttentionReport:
    """What was added to a network.

    Attributes:
        layers (dict[str, nn.Module]): The attentions by name.
        places (dict[str, str]): For each, the module that it stands behind, before or in place of.
        dropped (tuple[str, ...]): Keys of the network's state dict that are gone, with the
            squeeze-and-excitation that was replaced.
    """

    layers: dict[str, nn.Module]
    places: dict[str, str]
    dropped: tuple[str, ...]

    @property
    def num_parameters(self) -> int:
        """Number of parameters that were added."""
        return sum(value.numel() for layer in self.layers.values() for value in layer.parameters())

    def __str__(self) -> str:
        """One sentence for a log."""
        kinds = Counter(type(layer).__name__ for layer in self.layers.values())
        what = ' and '.join(f'{count} {kind}' for kind, count in kinds.items())
        first = next(iter(self.places.values()))
        text = f'Added {what} with {self.num_parameters:,} parameters, the first {first}'
        if self.dropped:
            text += (f'; they replace an attention of the network, whose {len(self.dropped)} '
                     f'weights are gone ({self.dropped[0]}, ...)')
        return f'{text}.'


@MODELS.register_module(name='WithAttention')
def with_attention(network: dict | nn.Module, attention: dict | Sequence,
                   at: str | Sequence[str] | None = None, **weights: Any) -> nn.Module:
    """Build a network with attention in it; the registry's ``WithAttention``.

    The network itself is returned, so that its weights keep their names: pretrained ones load, and
    only those of the attention are missing.

    Args:
        network (dict | nn.Module): Config of any backbone, neck or head, or the built module.
        attention (dict | Sequence): As in :func:`add_attention`.
        at (str | Sequence[str] | None): As in :func:`add_attention`.
        **weights (Any): ``init_cfg`` or ``pretrained``, which other packages set on whatever is a
            model's backbone; they replace those of the network.

    Returns:
        nn.Module: The network.

    Raises:
        ValueError: As :func:`add_attention`; also if the network's name is not known, or for
            another option.
    """
    for name in weights:
        if name not in _FORWARDED or not isinstance(network, dict):
            raise ValueError(
                f'WithAttention takes network, attention and at, but not {name!r}; options of the '
                f'network belong in its own config, as network.{name}.')
    if not isinstance(network, nn.Module):
        if not isinstance(network, dict) or 'type' not in network:
            raise ValueError(f'network is {network!r}, but must be a config with a type, such as '
                             "dict(type='ResNet', depth=50), or a built module.")
        network = {**network, **weights}
        try:
            network = MODELS.build(network)
        except KeyError as error:
            kind = network.get('type')
            if 'registry' not in str(error) or str(kind) not in str(error):
                raise
            raise ValueError(
                f'WithAttention does not find the network {kind!r}: give its package with the name '
                f"(type='mmdet.{kind}'), or build it in that package's default scope.") from error
    report = add_attention(network, attention, at)
    print_log(f'{original_class(network).__name__}: {report}', logger='current')
    return network


# What detectors, segmentors and inferencers write into the config of any backbone.
_FORWARDED = ('init_cfg', 'pretrained')


def network_config(cfg: dict, where: str = '') -> tuple[dict, str]:
    """Look through ``WithAttention`` at the config of the network in it.

    Args:
        cfg (dict): Config of any module.
        where (str): Its dotted key.

    Returns:
        tuple[dict, str]: The network's config and its dotted key; those given for any other module.
    """
    kind = cfg.get('type')
    named = isinstance(kind, str) and kind.rpartition('.')[2] == 'WithAttention'
    if (named or kind is with_attention) and isinstance(cfg.get('network'), dict):
        return cfg['network'], '.'.join(filter(None, (where, 'network')))
    return cfg, where


def add_attention(module: nn.Module, attention: dict | Sequence,
                  at: str | Sequence[str] | None = None) -> AttentionReport:
    """Put an attention into a network, in place (Section 3.3 of ECA-Net).

    Args:
        module (nn.Module): A network of mmdet, mmpretrain, torchvision or timm, or with ``at`` any
            module.
        attention (dict | Sequence): Config of the attention, or one entry per stage (a config,
            None, or one entry per block). With ``at`` a single config.
        at (str | Sequence[str] | None): Regular expression for the names of the modules after
            whose output an attention is to be put, or a list of them; they have to match whole
            names. By default after the last normalisation of every residual branch, or in place of
            every squeeze-and-excitation.

    Returns:
        AttentionReport: What was added where.

    Raises:
        ValueError: If the network already has an attention and ``at`` names no other places, no
            place in it is known, ``at`` matches nothing or a module within another match, a matched
            module does not output a map (N, C, H, W), or the attention does not suit the places.
    """
    if at is None:
        _check_plain(module)
        places = find_places(module)
        if not places:
            raise ValueError(
                f'{original_class(module).__name__} has no convolutional blocks whose place for an '
                'attention is known; name the modules that it should follow, e.g. '
                "at=r'layers\\.\\d+'.")
    else:
        places = matching_places(module, at)
        for place in places:
            part = module.get_submodule(place.name)
            if carries_layer(part) or isinstance(part, LAYERS):
                raise ValueError(f'{place.name} has an attention already; match other modules.')
    per_place = _config_per_place(attention, places)
    places = [place for place, cfg in zip(places, per_place, strict=True) if cfg is not None]
    configs = [cfg for cfg in per_place if cfg is not None]
    before = set(module.state_dict())
    # All are built before the network is changed.
    built = [_build(cfg, width)
             for cfg, width in zip(configs, find_channels(module, places), strict=True)]
    return _insert(module, places, built, before)


def _build(cfg: dict, channels: int) -> tuple[str, nn.Module]:
    """The name that an attention has in checkpoints, and the attention."""
    if not isinstance(cfg, dict) or 'type' not in cfg:
        raise ValueError(f"attention is {cfg!r}, but must be a config with a type, such as "
                         "dict(type='ECALayer').")
    cfg = {**cfg, 'type': ours_first(MODELS, cfg['type'])}
    try:
        return build_plugin_layer(cfg, in_channels=channels)
    except KeyError as error:
        if 'Cannot find' not in str(error):
            raise
        near = nearest(str(cfg['type']), [kind.__name__ for kind in LAYERS])
        raise ValueError(f'The attention {cfg["type"]!r} is not registered' + (
            f'; did you mean {near!r}?' if near else '; eca_mm.layers lists ours.')) from error


def _insert(module: nn.Module, places: list[Place], built: list[tuple[str, nn.Module]],
            before: set[str]) -> AttentionReport:
    owners = [_owner(module, place) for place in places]
    layers, described = {}, {}
    shared = Counter(owner for owner, _ in owners)
    for place, (abbreviation, layer), (owner, path) in zip(places, built, owners, strict=True):
        block = module.get_submodule(owner)
        name = abbreviation
        if shared[owner] > 1 or hasattr(block, name):
            name = f'{path.replace(".", "_")}_{abbreviation}'
        parent = module.get_submodule(place.owner)
        if place.kind == 'replace':
            # A Sequential keeps its order.
            parent._modules[place.path] = nn.Identity()
        elif place.kind == 'sum' and isinstance(getattr(parent, 'se_layer', None), nn.Module):
            parent.se_layer = nn.Identity()
        if hasattr(block, name):
            raise ValueError(f'{owner or type(module).__name__} has an attribute {name!r} already, '
                             'where the attention should go; it seems to have one.')
        block.add_module(name, layer)
        attach(block, path, layer, before=place.kind in ('before', 'sum'))
        full = '.'.join(filter(None, (owner, name)))
        layers[full] = layer
        described[full] = f'{_PREPOSITION[place.kind]} {place.name}'
    keep_shared(module)
    spare_unloaded(module)
    return AttentionReport(layers, described, tuple(sorted(before - set(module.state_dict()))))


_PREPOSITION = {'after': 'after', 'before': 'before', 'replace': 'in place of', 'sum': 'before'}


def _check_plain(module: nn.Module) -> None:
    for name, part in module.named_modules():
        if type(part).__module__.startswith('eca_mm.layers.') or qualified_names(part) & ATTENTIONS:
            where = f' at {name}' if name else ''
            raise ValueError(
                f'{original_class(module).__name__} has an attention already '
                f'({type(part).__name__}{where}); give the network without attention, or name '
                'other places by `at`.')


def _owner(module: nn.Module, place: Place) -> tuple[str, str]:
    """Name of the block that an attention becomes a child of, and the rest of the place's name."""
    parts = place.name.split('.') if place.name else []
    # A container would call its new child, or a list would count it.
    count = len(place.owner.split('.')) if place.owner else 0
    while count and isinstance(module.get_submodule('.'.join(parts[:count])), CONTAINERS):
        count -= 1
    return '.'.join(parts[:count]), '.'.join(parts[count:])


def _config_per_place(attention: dict | Sequence, places: list[Place]) -> list[dict | None]:
    configs: list[dict | None]
    if attention is None or isinstance(attention, dict):
        configs = [attention] * len(places)
    else:
        stages = Counter(map(stage_of, places))
        try:
            per_block = attention_per_block(attention, list(stages.values()))
        except ValueError as error:
            raise ValueError(f'{error} The stages are {", ".join(stages)}.') from error
        by_stage = {stage: iter(cfgs) for stage, cfgs in zip(stages, per_block, strict=True)}
        configs = [next(by_stage[stage_of(place)]) for place in places]
    if not any(configs):
        raise ValueError(f'attention is {attention!r}, which adds nothing; give a config '
                         "such as dict(type='ECALayer').")
    sized = {stage_of(place) for place, cfg in zip(places, configs, strict=True)
             if cfg and cfg.get('map_size') is not None}
    same = len({str(cfg['map_size']) for cfg in configs if cfg and 'map_size' in cfg})
    if len(sized) > 1 and same == 1:
        raise ValueError(
            f'The attention has one map_size for the stages {", ".join(sorted(sized))}, whose maps '
            'differ in size; give a list with one config per stage, or choose an attention that '
            'takes maps of any size.')
    return configs
