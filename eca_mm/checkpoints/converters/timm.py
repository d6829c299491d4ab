"""Weights of timm's ECA-ResNet family, and their names both ways."""
import re
from collections.abc import Iterable, Mapping

from eca_mm.checkpoints.state_dict import state_dict_of
from eca_mm.utils.errors import UserError

from .architecture import ResNetArchitecture
from .conversion import Conversion, convert
from .timm_networks import from_other_network, is_other_network

# timm keeps the deep stem's layers in one Sequential, but its last norm is the network's bn1.
_STEM = {'conv1.0': 'stem.0.conv', 'conv1.1': 'stem.0.bn', 'conv1.3': 'stem.1.conv',
         'conv1.4': 'stem.1.bn', 'conv1.6': 'stem.2.conv', 'bn1': 'stem.2.bn'}


def timm_names(names: Iterable[str]) -> dict[str, str]:
    """Translate timm's names of a ResNet's weights into those of our classifiers.

    What differs is the deep stem, ECA's name (timm calls every attention ``se``) and the shortcut
    of the first stage, where timm counts a pooling layer that does nothing.

    Args:
        names (Iterable[str]): All names of the state dict.

    Returns:
        dict[str, str]: Our name of each, ``backbone.*`` or ``head.fc.*``. Unknown names get
        ``backbone.`` in front and then belong to no layer.
    """
    names = list(names)
    deep = 'conv1.0.weight' in names
    averaging = any(re.match(r'layer\d\.0\.downsample\.2\.', name) for name in names)
    return {name: _translate(name, deep, averaging) for name in names}


def _translate(name: str, deep: bool, averaging: bool) -> str:
    if name.startswith('fc.'):
        return f'head.{name}'
    layer, _, parameter = name.rpartition('.')
    if deep and layer in _STEM:
        return f'backbone.{_STEM[layer]}.{parameter}'
    if averaging:
        # timm's 1 and 2; its 0 has no weights.
        name = re.sub(r'^layer1\.0\.downsample\.([12])\.',
                      lambda match: f'layer1.0.downsample.{int(match[1]) - 1}.', name)
    # ECA's only weight; other attentions keep timm's name, which makes a report readable.
    return 'backbone.' + re.sub(r'^(layer\d\.\d+)\.se\.conv\.weight$', r'\1.eca.conv.weight', name)


def names_for_timm(names: Iterable[str]) -> dict[str, str]:
    """Translate the names of our ECA-ResNet classifiers into timm's; undoes :func:`timm_names`.

    Args:
        names (Iterable[str]): All names of a classifier's state dict.

    Returns:
        dict[str, str]: timm's name of each.
    """
    names = list(names)
    averaging = any(re.match(r'backbone\.layer[2-4]\.0\.downsample\.2\.', name) for name in names)
    stem = {ours: theirs for theirs, ours in _STEM.items()}
    translated = {}
    for name in names:
        theirs = re.sub(r'^(backbone|head)\.', '', name)
        layer, _, parameter = theirs.rpartition('.')
        if layer in stem:
            theirs = f'{stem[layer]}.{parameter}'
        if averaging:
            theirs = re.sub(r'^layer1\.0\.downsample\.([01])\.',
                            lambda match: f'layer1.0.downsample.{int(match[1]) + 1}.', theirs)
        translated[name] = re.sub(r'^(layer\d\.\d+)\.eca\.', r'\1.se.', theirs)
    return translated


def from_timm(checkpoint: Mapping) -> Conversion:
    """Convert a checkpoint of timm's ECA networks.

    Those that are not ResNets stay timm's (:mod:`~eca_mm.checkpoints.converters.timm_networks`). Of
    ResNets stem, blocks, widths, groups and kernel sizes are read from the weights. Of a training
    checkpoint with averaged weights these are taken, as timm itself does.

    Args:
        checkpoint (Mapping): A state dict of timm, or a dict that holds one.

    Returns:
        Conversion: The weights in our naming and the config that they load into strictly.

    Raises:
        UserError: If these are not the weights of such a network, or they are not complete
            (:class:`~eca_mm.checkpoints.keys.MisfitError`, with a report).
    """
    averaged = [entry for entry in ('state_dict_ema', 'model_ema')
                if isinstance(checkpoint.get(entry), Mapping)]
    weights = state_dict_of(checkpoint, averaged)
    notes = [f'The averaged weights ({averaged[0]}) were taken.'] if averaged else []
    if is_other_network(weights):
        return from_other_network(weights, notes)
    other = [name for name in weights if re.match(r'layer\d\.\d+\.se\.', name)
             and not name.endswith('.se.conv.weight')]
    if other:
        raise UserError(f'The checkpoint has an attention that is not ECA, with weights such as '
                        f'{other[0]}; only ECA-ResNets of timm are converted.')
    names = timm_names(weights)
    architecture = ResNetArchitecture.read(
        {ours.removeprefix('backbone.'): weights[theirs] for theirs, ours in names.items()})
    return convert(weights, names, config_names(architecture), architecture.backbone(), notes)


def config_names(architecture: ResNetArchitecture) -> list[str]:
    """The configs that may be that of a ResNet with ECA, the likeliest first.

    Args:
        architecture (ResNetArchitecture): The network.

    Returns:
        list[str]: Paths below ``configs/``; not all of them exist, the last one does.
    """
    depth = architecture.depth
    if not architecture.is_d:
        ks = architecture.kernel_sizes or ()
        tag = f'-k{ks[0] if len(set(ks)) == 1 else "".join(map(str, ks))}'
        tags = ('', tag) if architecture.adaptive else (tag, '')
        # The last one is for depths without a config.
        return [*(f'eca_resnet/eca-resnet{depth}{each}_4xb64_in1k.py' for each in tags),
                'eca_resnet/eca-resnet50_4xb64_in1k.py']
    tiered = architecture.stem_widths[:2] == (24, 32)
    name = f'eca-resne{"x" if architecture.groups > 1 else ""}t{depth}{"t" if tiered else "d"}'
    if architecture.groups > 1:
        name += f'-{architecture.groups}x{architecture.width_per_group}d'
    if architecture.channels is not None:
        name += '-pruned'
    if architecture.stage_blocks == (1, 1, 11, 3):
        name = 'eca-resnet-light'
    return [f'timm_eca_resnet/{each}_8xb32_in1k.py' for each in (name, 'eca-resnet50d')]
