"""Exact inference-time forms: normalisations folded, residual blocks with a cheaper end.

A block that knows its inference form offers it as ``inference_form() -> InferenceBlock | None``,
and the pairs of layers that may be folded in it as ``conv_norm_pairs()``. For the blocks of other
packages, which know neither, there are adapters here.
"""
import warnings
from collections import Counter
from itertools import pairwise

import torch
from mmcv.cnn import ConvModule
from mmdet.models.backbones import resnet as mmdet_resnet
from mmdet.models.backbones import resnext as mmdet_resnext
from mmpretrain.models.backbones import resnet as mmpretrain_resnet
from mmpretrain.models.backbones import resnext as mmpretrain_resnext
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from eca_mm.layers.channel_attention import has_hooks
from eca_mm.ops.clamp import InferenceReLU6
from eca_mm.ops.forms import Fused
from eca_mm.ops.inference_block import (
    InferenceBlock,
    InferenceStage,
    build_inference_block,
    can_fold,
)
from eca_mm.ops.inference_block_tail import InferenceBlockTail

from .attachment import attached_layer, original_class

# Networks and blocks whose own forward calls norm<i> right after conv<i>, for every i they have.
_NUMBERED = (mmpretrain_resnet.ResNet, mmpretrain_resnet.BasicBlock, mmpretrain_resnet.Bottleneck,
             mmdet_resnet.ResNet, mmdet_resnet.BasicBlock, mmdet_resnet.Bottleneck)
# Blocks whose end is cheaper with an attention attached to their last normalisation, and which
# number that one has.
_LAST_NORM = {mmpretrain_resnet.BasicBlock: 2, mmpretrain_resnet.Bottleneck: 3,
              mmpretrain_resnext.Bottleneck: 3, mmdet_resnet.BasicBlock: 2,
              mmdet_resnet.Bottleneck: 3, mmdet_resnext.Bottleneck: 3}


def switch_to_deploy(model: nn.Module, fused: Fused = 'auto') -> nn.Module:
    """Turn a model into its exact inference form, in place.

    Batch normalisations are folded into the convolutions before them, and residual blocks with an
    attention end in one pass over the map
    (:class:`~eca_mm.ops.inference_block_tail.InferenceBlockTail`). On a CPU the maps are in
    channels_last from the first convolution on, whatever the input is in. What cannot be converted
    (SyncBN, a normalisation that does not follow a convolution, a block that overrides
    ``forward``) is left as it is and named in a ``UserWarning``.

    Args:
        model (nn.Module): Any model in evaluation mode; it is changed.
        fused (bool | str): Whether the blocks' ends run in Triton kernels on CUDA. Defaults to
            ``'auto'``, which is not yet, as they have not been measured there.

    Returns:
        nn.Module: The model, or what takes its place if it is itself a residual block.

    Raises:
        ValueError: If the model or one of its normalisations is in training mode.
    """
    model = to_inference_form(model)
    left = [name for name, module in model.named_modules()
            if isinstance(module, _BatchNorm) or hasattr(module, 'inference_form')
            or attached_layer(module) is not None]
    if left:
        warnings.warn('These modules have no known inference form and are left as they are: '
                      + ', '.join(left), UserWarning, stacklevel=3)
    _prepare_for_cpu(model)
    for module in model.modules():
        if isinstance(module, InferenceBlockTail):
            module.fused = fused
    return model


def _prepare_for_cpu(model: nn.Module) -> None:
    """Have convolutions on the CPU compute in channels_last, and ReLU6 in one pass.

    oneDNN reads and writes that format as it is and copies every map in the other one. The output
    of a convolution takes the format of its weight.
    """
    weights = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d)]
    for weight in weights:
        if weight.device.type == 'cpu':
            weight.data = weight.data.to(memory_format=torch.channels_last)
    if not any(weight.device.type == 'cpu' for weight in weights):
        return
    for module in list(model.modules()):
        for name, child in module.named_children():
            # The ends of blocks have to know theirs, for other devices.
            if isinstance(module, InferenceBlockTail):
                continue
            if type(child) is nn.ReLU6 and not has_hooks(child) and 'forward' not in vars(child):
                setattr(module, name, InferenceReLU6(child.inplace).train(child.training))


def to_inference_form(model: nn.Module) -> nn.Module:
    """Fold normalisations and replace residual blocks, in place.

    Args:
        model (nn.Module): Any model, in evaluation mode.

    Returns:
        nn.Module: The model, or what takes its place if it is a residual block or a stage itself.

    Raises:
        ValueError: If the model or one of its normalisations is in training mode.
    """
    for name, module in model.named_modules():
        if module.training and (module is model or isinstance(module, _BatchNorm)):
            raise ValueError(f"{name or 'The model'} is in training mode, but only a model in "
                             'evaluation mode has an inference form; call model.eval() first.')
    uses = Counter(id(child) for module in model.modules() for child in module._modules.values())
    return _converted(model, uses)


def _converted(module: nn.Module, uses: Counter) -> nn.Module:
    form = _inference_form(module)
    if form is not None:
        form = _converted(form, uses)
        # What folding has left of the normalisations; on small maps every call counts.
        layers = [part for layer in form.branch for part in _parts(layer)]
        form.branch = nn.Sequential(*layers)
        return form
    for name, child in module.named_children():
        replaced = _converted(child, uses)
        if replaced is not child:
            setattr(module, name, replaced)
    for conv, norm in _adjacent(module):
        # A convolution that several normalisations share keeps its weights.
        if uses[id(module._modules[conv])] < 2:
            _fold(module, conv, norm)
    if (isinstance(module, nn.Sequential) and _defines_forward(module) is nn.Sequential
            and any(isinstance(m, InferenceBlock) for m in module)):
        return InferenceStage(*module)
    return module


def _parts(layer: nn.Module) -> list[nn.Module]:
    """The layers that one of mmcv's ConvModules calls, without what folding has left."""
    if (type(layer) is ConvModule and _defines_forward(layer) is ConvModule
            and layer.order == ('conv', 'norm', 'act') and not layer.with_explicit_padding
            and not (layer.with_norm and not isinstance(layer.norm, nn.Identity))
            and layer.efficient_conv_bn_eval_forward is None and not has_hooks(layer)):
        return [layer.conv, *[layer.activate][:layer.with_activation]]
    return [] if isinstance(layer, nn.Identity) else [layer]


def _inference_form(module: nn.Module) -> InferenceBlock | None:
    if 'forward' in vars(module):
        # Replaced on the object: what it computes is unknown.
        return None
    offered = getattr(module, 'inference_form', None)
    if offered is not None:
        return offered()
    return _attached_form(module) or _mmdet_bottleneck_form(module)


def _attached_form(block: nn.Module) -> InferenceBlock | None:
    """A plain residual block with an attention attached to its last normalisation."""
    last = _LAST_NORM.get(original_class(block))
    if last is None or getattr(block, 'with_plugins', False):
        return None
    *pairs, (conv, norm) = [(getattr(block, f'conv{i}'), getattr(block, f'norm{i}'))
                            for i in range(1, last + 1)]
    attention = attached_layer(norm)
    if attention is None or not _can_fold(conv, norm):
        return None
    branch = nn.Sequential(*(layer for pair in pairs for layer in (*pair, block.relu)))
    tail = InferenceBlockTail(fuse_conv_bn_eval(conv, norm), attention, block.relu)
    return InferenceBlock(branch, tail, block.downsample)


def _can_fold(conv: nn.Module | None, norm: nn.Module | None) -> bool:
    """Whether a normalisation can be folded, one that carries an attention included."""
    if norm is None or attached_layer(norm) is None:
        return can_fold(conv, norm)
    return (type(conv) is nn.Conv2d and original_class(norm) is nn.BatchNorm2d
            and norm.running_mean is not None and not norm.training)


def _mmdet_bottleneck_form(block: nn.Module) -> InferenceBlock | None:
    """Mmdet's bottleneck with a plugin after the last normalisation and no other one."""
    if type(block) not in (mmdet_resnet.Bottleneck, mmdet_resnext.Bottleneck):
        return None
    if not block.with_plugins or block.after_conv1_plugin_names or block.after_conv2_plugin_names:
        return None
    names = block.after_conv3_plugin_names
    if len(names) != 1:
        return None
    branch = nn.Sequential(block.conv1, block.norm1, block.relu,
                           block.conv2, block.norm2, block.relu)
    return build_inference_block(branch, block.conv3, block.norm3, getattr(block, names[0]),
                                 block.relu, block.downsample)


def _adjacent(module: nn.Module) -> list[tuple[str, str]]:
    """Names of the convolutions in a module and of the normalisation that follows each at once."""
    forward = _defines_forward(module)
    if hasattr(module, 'conv_norm_pairs'):
        pairs = module.conv_norm_pairs() if 'forward' not in vars(module) else []
    elif isinstance(module, ConvModule) and forward is ConvModule:
        follows = module.with_norm and module.order.index('norm') == module.order.index('conv') + 1
        pairs = [('conv', module.norm_name)] if follows else []
    elif isinstance(module, nn.Sequential) and forward is nn.Sequential:
        pairs = list(pairwise(module._modules))
    elif (isinstance(module, _NUMBERED) and forward is not None
          and forward.__module__.partition('.')[0] in ('mmdet', 'mmpretrain')):
        pairs = [(f'conv{i}', getattr(module, f'norm{i}_name')) for i in (1, 2, 3)
                 if hasattr(module, f'norm{i}_name')]
    else:
        pairs = []
    return [(conv, norm) for conv, norm in pairs
            if _can_fold(module._modules.get(conv), module._modules.get(norm))]


def _defines_forward(module: nn.Module) -> type | None:
    """The class whose forward a module runs; None if it was replaced on the object."""
    if 'forward' in vars(module):
        return None
    return next(cls for cls in type(module).__mro__ if 'forward' in vars(cls))


def _fold(module: nn.Module, conv: str, norm: str) -> None:
    setattr(module, conv, fuse_conv_bn_eval(module._modules[conv], module._modules[norm]))
    setattr(module, norm, nn.Identity())
    # An attention that the normalisation carried moves to its replacement.
    getattr(module, norm)
