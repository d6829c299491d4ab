"""Residual blocks and stages as they run at inference time: without normalisations."""
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from eca_mm.layers.channel_attention import has_hooks
from eca_mm.layers.checks import is_captured

from .bn_reductions import is_channels_last
from .cpu_inference import LARGE_BYTES, treats_samples_alone
from .inference_block_tail import InferenceBlockTail


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
        step = self._slice_length(x)
        if step is not None:
            return self._in_slices(x, step, overwrite)
        out = self.branch(x)
        if not self.shortcut:
            return self.tail(out, None)
        if self.downsample is None:
            return self.tail(out, x, overwrite)
        return self.tail(out, self.downsample(x), overwrite=True)

    def _slice_length(self, x: Tensor) -> int | None:
        """How many samples to compute at a time; None for all of them."""
        if is_captured() or len(x) < 2 or not self.tail.runs_on_cpu(x):
            return None
        sample = int(self._widest() * x.size(2) * x.size(3)) * x.element_size()
        parts = self.branch, self.downsample, self.tail.conv, self.tail.activation
        if len(x) * sample <= LARGE_BYTES or not all(map(treats_samples_alone, parts)):
            return None
        return min(max(1, LARGE_BYTES // 2 // sample), len(x))

    def _widest(self) -> float:
        """Size of the branch's largest map beside that of one channel of the input."""
        area, widest = 1, 0.
        for layer in self.branch.modules():
            if isinstance(layer, nn.Conv2d):
                area *= layer.stride[0] * layer.stride[1]
                widest = max(widest, layer.out_channels / area)
        return widest

    def _in_slices(self, x: Tensor, step: int, overwrite: bool) -> Tensor:
        """Compute some samples at a time, so that the branch's maps stay in memory that it has."""
        passed_on = self.shortcut and self.downsample is None
        out = x if passed_on and overwrite else None
        for part in (slice(i, i + step) for i in range(0, len(x), step)):
            z, identity = self.branch(x[part]), None
            if self.shortcut:
                identity = x[part] if self.downsample is None else self.downsample(x[part])
            given = None if out is None else out[part]
            result = self.tail(z, identity, overwrite or not passed_on, given)
            if out is None:
                layout = (torch.channels_last if is_channels_last(result)
                          else torch.contiguous_format)
                out = torch.empty((len(x), *result.shape[1:]), dtype=result.dtype,
                                  memory_format=layout)
            if given is None or result is not given:
                out[part] = result
        assert out is not None
        return out


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


def build_inference_block(branch: nn.Module,
                          conv: nn.Module,
                          norm: nn.Module,
                          attention: nn.Module | None,
                          activation: nn.Module | None = None,
                          downsample: nn.Module | None = None,
                          shortcut: bool = True) -> InferenceBlock | None:
    """Put a residual block together from its layers, the last normalisation folded.

    Args:
        branch (nn.Module): The residual branch before its last convolution.
        conv (nn.Module): The last convolution.
        norm (nn.Module): The normalisation after it.
        attention (nn.Module | None): The attention after that; it is shared, not copied.
        activation (nn.Module | None): What follows the addition. Defaults to None.
        downsample (nn.Module | None): What the shortcut consists of, None for the input itself.
        shortcut (bool): Whether there is a shortcut. Defaults to True.

    Returns:
        InferenceBlock | None: The inference form; None if the normalisation cannot be folded.
    """
    if not can_fold(conv, norm):
        return None
    tail = InferenceBlockTail(fuse_conv_bn_eval(conv, norm), attention, activation)
    return InferenceBlock(branch, tail, downsample, shortcut)
