"""Exact inference-time forms: normalisations folded, residual blocks with a cheaper end."""
from collections import Counter
from itertools import pairwise

from mmcv.cnn import ConvModule
from mmdet.models.backbones import resnet as mmdet_resnet
from mmpretrain.models.backbones import resnet as mmpretrain_resnet
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from eca_mm.layers.channel_attention import has_hooks
from eca_mm.ops.inference_block_tail import InferenceBlockTail

from .mobilenet_v2 import AttentionInvertedResidual
from .resnet import AttentionBasicBlock, AttentionBottleneck

# Modules that call norm<i> right after conv<i>, for every i that they have.
NUMBERED = (mmpretrain_resnet.ResNet, mmpretrain_resnet.BasicBlock, mmpretrain_resnet.Bottleneck,
            mmdet_resnet.ResNet, mmdet_resnet.BasicBlock, mmdet_resnet.Bottleneck)


class InferenceBlock(nn.Module):
    """A residual block without normalisations.

    Args:
        branch (nn.Module): The residual branch up to its last convolution.
        tail (InferenceBlockTail): The last convolution, the attention, the addition and the
            activation.
        downsample (nn.Module | None): What the shortcut consists of, None for the input itself.
        shortcut (bool): Whether there is a shortcut. Defaults to True.
    """

    def __init__(self,
                 branch: nn.Module,
                 tail: InferenceBlockTail,
                 downsample: nn.Module | None = None,
                 shortcut: bool = True) -> None:
        super().__init__()
        self.branch = branch
        self.tail = tail
        self.downsample = downsample
        self.shortcut = shortcut

    def forward(self, x: Tensor, overwrite: bool = False) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H / stride, W / stride).

        Args:
            x (Tensor): Input of shape (N, C_in, H, W).
            overwrite (bool): Whether nobody else needs ``x``. Defaults to False.

        Returns:
            Tensor: Output of shape (N, C_out, H / stride, W / stride).
        """
        out = self.branch(x)
        if not self.shortcut:
            return self.tail(out, None)
        if self.downsample is None:
            return self.tail(out, x, overwrite)
        return self.tail(out, self.downsample(x), overwrite=True)


class InferenceStage(nn.Sequential):
    """A stage whose blocks may take the memory of their predecessor's output.

    Not having to ask the system for fresh memory is worth more than anything else on large maps.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""
        mine = False
        for block in self:
            is_inference_block = isinstance(block, InferenceBlock)
            x = block(x, overwrite=mine) if is_inference_block else block(x)
            # Whoever hooked the block may have kept its output.
            mine = is_inference_block and not has_hooks(block)
        return x


def can_fold(conv: nn.Module, norm: nn.Module) -> bool:
    """Tell whether a normalisation can be folded into the convolution before it.

    Args:
        conv (nn.Module): Any layer.
        norm (nn.Module): The layer after it.

    Returns:
        bool: Whether they are an ordinary convolution and ordinary BN with running statistics.
    """
    return (type(conv) is nn.Conv2d and type(norm) is nn.BatchNorm2d
            and norm.running_mean is not None and not norm.training)


def inference_form(block: nn.Module) -> InferenceBlock | None:
    """Build the inference form of a residual block with room for an attention.

    Args:
        block (nn.Module): Any module, in evaluation mode.

    Returns:
        InferenceBlock | None: Computes the same and shares the attention with the block; None if
        the module is no such block or its last normalisation cannot be folded.
    """
    forward = type(block).forward
    if forward is AttentionInvertedResidual.forward:
        *layers, last = block.conv
        if not last.with_norm or not can_fold(last.conv, last.norm):
            return None
        tail = InferenceBlockTail(fuse_conv_bn_eval(last.conv, last.norm), block.attention)
        return InferenceBlock(nn.Sequential(*layers), tail, shortcut=block.use_res_connect)
    if forward in (AttentionBasicBlock.forward, AttentionBottleneck.forward):
        attention = block.attention
    else:
        attention = _last_plugin(block)
        if attention is None:
            return None
    count = 2 if forward is AttentionBasicBlock.forward else 3
    *pairs, last = [(getattr(block, f'conv{i}'), getattr(block, f'norm{i}'))
                    for i in range(1, count + 1)]
    if not can_fold(*last):
        return None
    branch = nn.Sequential(*(layer for pair in pairs for layer in (*pair, block.relu)))
    tail = InferenceBlockTail(fuse_conv_bn_eval(*last), attention, block.relu)
    return InferenceBlock(branch, tail, block.downsample)


def _last_plugin(block: nn.Module) -> nn.Module | None:
    """The plugin after the last normalisation of an mmdet bottleneck that has no other one."""
    if type(block) is not mmdet_resnet.Bottleneck or not block.with_plugins:
        return None
    if block.after_conv1_plugin_names or block.after_conv2_plugin_names:
        return None
    names = block.after_conv3_plugin_names
    return getattr(block, names[0]) if len(names) == 1 else None


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
    form = inference_form(module)
    if form is not None:
        form = _converted(form, uses)
        # What folding has left of the normalisations; on small maps every call counts.
        layers = [layer for layer in form.branch if not isinstance(layer, nn.Identity)]
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
    if isinstance(module, nn.Sequential) and any(isinstance(m, InferenceBlock) for m in module):
        return InferenceStage(*module)
    return module


def _adjacent(module: nn.Module) -> list[tuple[str, str]]:
    """Names of the convolutions in a module and of the normalisation that follows each at once."""
    if isinstance(module, ConvModule):
        follows = module.with_norm and module.order.index('norm') == module.order.index('conv') + 1
        pairs = [('conv', module.norm_name)] if follows else []
    elif isinstance(module, nn.Sequential):
        pairs = list(pairwise(module._modules))
    elif isinstance(module, NUMBERED):
        pairs = [(f'conv{i}', getattr(module, f'norm{i}_name')) for i in (1, 2, 3)
                 if hasattr(module, f'norm{i}_name')]
    else:
        pairs = []
    return [(conv, norm) for conv, norm in pairs
            if can_fold(module._modules.get(conv), module._modules.get(norm))]


def _fold(module: nn.Module, conv: str, norm: str) -> None:
    setattr(module, conv, fuse_conv_bn_eval(module._modules[conv], module._modules[norm]))
    setattr(module, norm, nn.Identity())
