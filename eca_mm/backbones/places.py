"""Where an attention belongs in the blocks of other packages' networks.

Section 3.3 of ECA-Net: after the last normalisation of the residual branch, before the addition.
If a block has squeeze-and-excitation or a similar layer, the attention replaces it.
"""
from collections.abc import Iterator
from typing import NamedTuple

from mmcv.cnn import ConvModule
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class Place(NamedTuple):
    """A place for one attention.

    Attributes:
        owner (str): Name of the block whose child the attention becomes; ``''`` for the network.
        path (str): Name of the module that calls it, below the owner; ``''`` for the owner.
        kind (str): ``'after'`` or ``'before'`` that module, or ``'replace'`` for in its place.
    """

    owner: str
    path: str
    kind: str

    @property
    def name(self) -> str:
        """Name of the module that calls the attention, in the whole network."""
        return '.'.join(filter(None, (self.owner, self.path)))


# How to find the place in a block: 'norm norm3' is the normalisation of that name; 'end conv2' the
# last normalisation in that part, or its last convolution where there is none; 'after' and
# 'before' that part itself, where a lone word means the block.
_MMDET, _MMPRETRAIN = 'mmdet.models', 'mmpretrain.models'
BLOCKS = {
    f'{_MMDET}.backbones.resnet.BasicBlock': 'norm norm2',
    f'{_MMDET}.backbones.resnet.Bottleneck': 'norm norm3',
    f'{_MMDET}.backbones.darknet.ResBlock': 'end conv2',
    f'{_MMDET}.layers.csp_layer.DarknetBottleneck': 'end conv2',
    f'{_MMDET}.layers.csp_layer.CSPNeXtBlock': 'end conv2',
    f'{_MMDET}.layers.inverted_residual.InvertedResidual': 'end linear_conv',
    f'{_MMDET}.backbones.efficientnet.EdgeResidual': 'end conv2',
    f'{_MMPRETRAIN}.backbones.resnet.BasicBlock': 'norm norm2',
    f'{_MMPRETRAIN}.backbones.resnet.Bottleneck': 'norm norm3',
    f'{_MMPRETRAIN}.backbones.cspnet.DarknetBottleneck': 'end conv2',
    f'{_MMPRETRAIN}.utils.inverted_residual.InvertedResidual': 'end linear_conv',
    f'{_MMPRETRAIN}.backbones.efficientnet.EdgeResidual': 'end conv2',
    f'{_MMPRETRAIN}.backbones.mobilenet_v2.InvertedResidual': 'end conv',
    f'{_MMPRETRAIN}.backbones.shufflenet_v1.ShuffleUnit': 'end g_conv_1x1_expand',
    f'{_MMPRETRAIN}.backbones.shufflenet_v2.InvertedResidual': 'end branch2',
    f'{_MMPRETRAIN}.backbones.repvgg.RepVGGBlock': 'sum se_layer',
    f'{_MMPRETRAIN}.backbones.mobileone.MobileOneBlock': 'after se',
    f'{_MMPRETRAIN}.backbones.convnext.ConvNeXtBlock': 'before drop_path',
    f'{_MMPRETRAIN}.backbones.van.VANBlock': 'after mlp',
    f'{_MMPRETRAIN}.backbones.hornet.HorNetBlock': 'after gnconv',
    f'{_MMPRETRAIN}.backbones.replknet.RepLKBlock': 'before drop_path',
    f'{_MMPRETRAIN}.backbones.replknet.ConvFFN': 'before drop_path',
    f'{_MMPRETRAIN}.backbones.convmixer.Residual': 'end fn',
    f'{_MMPRETRAIN}.backbones.conformer.ConvBlock': 'end bn3',
    f'{_MMPRETRAIN}.backbones.tinyvit.MBConvBlock': 'end conv3',
    f'{_MMPRETRAIN}.backbones.efficientformer.Meta4D': 'end mlp',
    f'{_MMPRETRAIN}.backbones.vig.Grapher': 'before drop_path',
    f'{_MMPRETRAIN}.backbones.vig.FFN': 'before drop_path',
    f'{_MMPRETRAIN}.backbones.densenet.DenseLayer': 'after conv2',
    **{f'{_MMPRETRAIN}.backbones.inception_v3.Inception{letter}': 'after' for letter in 'ABCDE'},
    'mmseg.models.backbones.resnet.BasicBlock': 'norm norm2',
    'mmseg.models.backbones.resnet.Bottleneck': 'norm norm3',
    'mmseg.models.utils.inverted_residual.InvertedResidual': 'end conv',
    'mmseg.models.utils.inverted_residual.InvertedResidualV3': 'end linear_conv',
    'torchvision.models.resnet.BasicBlock': 'end bn2',
    'torchvision.models.resnet.Bottleneck': 'end bn3',
    'torchvision.models.regnet.ResBottleneckBlock': 'end f',
    'torchvision.models.efficientnet.MBConv': 'end block',
    'torchvision.models.efficientnet.FusedMBConv': 'end block',
    'torchvision.models.mobilenetv2.InvertedResidual': 'end conv',
    'torchvision.models.mobilenetv3.InvertedResidual': 'end block',
    'torchvision.models.shufflenetv2.InvertedResidual': 'end branch2',
    'torchvision.models.mnasnet._InvertedResidual': 'end layers',
    'torchvision.models.convnext.CNBlock': 'before stochastic_depth',
    'torchvision.models.densenet._DenseLayer': 'after conv2',
    'torchvision.models.googlenet.Inception': 'after',
    **{f'torchvision.models.inception.Inception{letter}': 'after' for letter in 'ABCDE'},
    'timm.models.resnet.BasicBlock': 'end bn2',
    'timm.models.resnet.Bottleneck': 'end bn3',
    'timm.models.regnet.Bottleneck': 'end conv3',
    'timm.models._efficientnet_blocks.DepthwiseSeparableConv': 'end bn2',
    'timm.models._efficientnet_blocks.InvertedResidual': 'end bn3',
    'timm.models._efficientnet_blocks.EdgeResidual': 'end bn2',
    'timm.models.convnext.ConvNeXtBlock': 'before drop_path',
}
SQUEEZE_EXCITATION = {
    f'{_MMDET}.layers.se_layer.SELayer', f'{_MMDET}.layers.se_layer.ChannelAttention',
    f'{_MMPRETRAIN}.utils.se_layer.SELayer', 'mmseg.models.utils.se_layer.SELayer',
    'torchvision.ops.misc.SqueezeExcitation',
    'timm.layers.squeeze_excite.SEModule', 'timm.layers.squeeze_excite.EffectiveSEModule',
    'timm.models._efficientnet_blocks.SqueezeExcite',
}
# Networks without blocks: an attention before each pooling.
PLAIN = {f'{_MMPRETRAIN}.backbones.vgg.VGG', 'mmcv.cnn.vgg.VGG', 'torchvision.models.vgg.VGG'}


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
        kinds = _qualified_names(module)
        if kinds & SQUEEZE_EXCITATION:
            owner, _, path = name.rpartition('.')
            replaced.append(Place(owner, path, 'replace'))
        elif kinds & PLAIN:
            places += _before_pooling(module, name)
        else:
            rules = [BLOCKS[kind] for kind in _ordered_names(module) if kind in BLOCKS]
            places += [_in_block(module, name, rule) for rule in rules[:1]]
    return replaced or places


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
    found = [path for path, part in module.named_modules()
             if isinstance(part, _BatchNorm | nn.GroupNorm)]
    found = found or [path for path, part in module.named_modules() if isinstance(part, nn.Conv2d)]
    return '.'.join(filter(None, (name, found[-1])))


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


def _qualified_names(module: nn.Module) -> set[str]:
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
