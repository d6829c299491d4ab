"""Where an attention belongs in the blocks of other packages' networks.

Section 3.3 of ECA-Net: after the last normalisation of the residual branch, before the addition.
If a block has squeeze-and-excitation or a similar layer, the attention replaces it.
"""
import difflib
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mmcv.cnn import ConvModule
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from .known_blocks import BLOCKS, PLAIN, SQUEEZE_EXCITATION


class Place(NamedTuple):
    """A place for one attention.

    Attributes:
        owner (str): Name of the block whose child the attention becomes; ``''`` for the network.
        path (str): Name of the module that calls it, below the owner; ``''`` for the owner.
        kind (str): ``'after'`` or ``'before'`` that module, ``'replace'`` for in its place, or
            ``'sum'`` for before it and in place of the block's ``se_layer``.
    """

    owner: str
    path: str
    kind: str

    @property
    def name(self) -> str:
        """Name of the module that calls the attention, in the whole network."""
        return '.'.join(filter(None, (self.owner, self.path)))


def find_places(network: nn.Module) -> list[Place]:
    """Find where the attentions of a network belong.

    Args:
        network (nn.Module): A backbone or neck of mmdet, mmpretrain, mmseg, torchvision or timm.

    Returns:
        list[Place]: In the order of ``named_modules``; empty for a network that is not known.
    """
    places: list[Place] = []
    replaced: list[Place] = []
    for name, module in network.named_modules():
        kinds = qualified_names(module)
        if kinds & SQUEEZE_EXCITATION:
            owner, _, path = name.rpartition('.')
            # RepVGG's own place for it is not called any more once its branches are merged.
            if not _rule(network.get_submodule(owner)).startswith('sum'):
                replaced.append(Place(owner, path, 'replace'))
        elif kinds & PLAIN:
            places += _before_pooling(module, name)
        elif rule := _rule(module):
            places.append(_in_block(module, name, rule))
    return replaced or places


def _rule(block: nn.Module) -> str:
    return next((BLOCKS[kind] for kind in _ordered_names(block) if kind in BLOCKS), '')


def _in_block(block: nn.Module, name: str, rule: str) -> Place:
    kind, _, path = rule.partition(' ')
    if kind == 'norm':
        return Place(name, getattr(block, f'{path}_name'), 'after')
    if kind == 'end':
        return Place(name, _end(block.get_submodule(path), path), 'after')
    return Place(name, path, kind)


def _end(module: nn.Module, name: str) -> str:
    """Name of a part's last normalisation, of its last convolution where it has none."""
    if isinstance(module, ConvModule):
        return f'{name}.{module.norm_name if module.with_norm else "conv"}'
    found = [path for path, part in module.named_modules() if is_norm(part)]
    found = found or [path for path, part in module.named_modules() if isinstance(part, nn.Conv2d)]
    # Neither in an Identity, which stands where a network has no normalisation.
    return '.'.join(filter(None, (name, found[-1] if found else '')))


def is_norm(module: nn.Module) -> bool:
    """Tell whether a module normalises a map.

    Args:
        module (nn.Module): Any module.

    Returns:
        bool: Whether it is one of PyTorch's normalisations, a subclass, or one that is frozen.
    """
    return (isinstance(module, _NormBase | nn.GroupNorm | nn.LayerNorm)
            or type(module).__name__.startswith('FrozenBatchNorm'))


def _before_pooling(network: nn.Module, name: str) -> Iterator[Place]:
    last = None
    for child, module in network.features.named_children():
        if isinstance(module, nn.MaxPool2d) and last is not None:
            yield last
            last = None
        elif isinstance(module, ConvModule | nn.Conv2d | _BatchNorm):
            last = Place(name, f'features.{child}', 'after')
            if isinstance(module, ConvModule):
                last = Place('.'.join(filter(None, (name, last.path))),
                             _end(module, '').removeprefix('.'), 'after')


def _ordered_names(module: nn.Module) -> list[str]:
    """Qualified names of a module's class and those that it derives from."""
    return [f'{cls.__module__}.{cls.__qualname__}' for cls in type(module).__mro__]


def qualified_names(module: nn.Module) -> set[str]:
    """Find out what a module is, without importing the packages that it may come from.

    Args:
        module (nn.Module): Any module.

    Returns:
        set[str]: Qualified names of its class and those that it derives from.
    """
    return set(_ordered_names(module))


def stage_of(place: Place) -> str:
    """Name of the stage that a place belongs to: its name up to the first part with a number.

    Args:
        place (Place): A place.

    Returns:
        str: ``'layer1'``, ``'stages.0'``, ``'features.3'`` ...
    """
    parts = place.name.split('.')
    for i, part in enumerate(parts, 1):
        if any(letter.isdigit() for letter in part):
            return '.'.join(parts[:i])
    return parts[0]


def matching_places(network: nn.Module, patterns: str | Sequence[str]) -> list[Place]:
    """Find the modules whose whole names match.

    Args:
        network (nn.Module): The network.
        patterns (str | Sequence[str]): Regular expression, or several.

    Returns:
        list[Place]: One behind every module, also where it has several names.

    Raises:
        ValueError: If one is not a regular expression, matches nothing or only a list of modules,
            or a matched module contains another one.
    """
    if not isinstance(patterns, list | tuple):
        patterns = [patterns]  # type: ignore[list-item]
    if not patterns:
        raise ValueError('at is empty; name the modules that an attention should follow.')
    every = {name: part for name, part in network.named_modules(remove_duplicate=False) if name}
    first: dict[nn.Module, str] = {}
    for name, part in every.items():
        first.setdefault(part, name)
    found: dict[str, None] = {}
    for pattern in patterns:
        try:
            match = re.compile(pattern).fullmatch
        except (re.error, TypeError) as error:
            raise ValueError(f'at is {pattern!r}, which is not a regular expression ({error}); '
                             r"write one for whole names, e.g. r'layer\d\.\d+'.") from error
        # Matched by any of its names, a module that is shared gets one attention.
        matched = [first[part] for name, part in every.items() if match(name)]
        if not matched:
            near = difflib.get_close_matches(re.sub(r'\\(.)', r'\1', pattern), every, 3, 0.3)
            hint = f'; the nearest names are {", ".join(map(repr, near))}' if near else ''
            raise ValueError(f'at={pattern!r} matches no module of {type(network).__name__} (it '
                             f'has to match a whole name){hint}.')
        found.update(dict.fromkeys(matched))
    for name in found:
        outer = next((other for other in found if name.startswith(f'{other}.')), None)
        if outer is not None:
            raise ValueError(f'at matches {name!r} and {outer!r}, which contains it; narrow the '
                             'pattern to one of the two.')
    return [_place_at(name, every[name], network) for name in found]


def _place_at(name: str, part: nn.Module, network: nn.Module) -> Place:
    if isinstance(part, nn.ModuleList | nn.ModuleDict):
        raise ValueError(f'at matches {name!r}, a {type(part).__name__}, which has no '
                         'output; match its members.')
    parent, _, leaf = name.rpartition('.')
    held = isinstance(network.get_submodule(parent), nn.ModuleList | nn.ModuleDict)
    if isinstance(part, nn.Sequential) or (not held and not any(part.children())):
        return Place(parent, leaf, 'after')
    return Place(name, '', 'after')
