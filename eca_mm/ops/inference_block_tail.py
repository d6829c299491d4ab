"""The end of a residual block at inference time: last convolution, attention, addition, ReLU."""
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eca_mm.layers.channel_attention import supports_fused_tail
from eca_mm.layers.checks import is_captured

from .accelerated_inference import accelerated_inference_tail
from .accelerated_ops import ACTIVATIONS
from .cache_sized_slices import cache_sized_slices
from .forms import Fused, block_form


def should_gate_weights(x: Tensor, conv: nn.Conv2d, attention: nn.Module | None) -> bool:
    """Tell whether the gate should scale the convolution's weights rather than its output.

    Averaging commutes with a 1x1 convolution, ``GAP(Wx + b) = W GAP(x) + b``, so that the gate is
    known before the convolution has run, and ``(gate * W) x + gate * b + identity`` is one matrix
    product without another pass over the map. It costs one weight matrix (C_out, C_in) per
    sample, and the matrix product is slower than the convolution where the map is small: it
    pays from about 2 C_in positions on, whatever the batch and the memory format.

    Args:
        x (Tensor): Input of the convolution, of shape (N, C_in, H, W).
        conv (nn.Conv2d): The convolution.
        attention (nn.Module | None): The attention after it.

    Returns:
        bool: Whether to scale the weights. Never while a gradient is recorded, which needs what
        is overwritten, or while the model is traced or compiled: compilers fuse by themselves.
    """
    if torch.is_grad_enabled() or is_captured():
        return False
    if x.size(2) * x.size(3) < 2 * conv.in_channels:
        return False
    # In half precision the product of gate and weight would be rounded once more.
    if x.device.type != 'cpu' or x.dtype not in (torch.float32, torch.float64):
        return False
    pointwise = (type(conv) is nn.Conv2d and conv.kernel_size == (1, 1) and conv.stride == (1, 1)
                 and conv.padding == (0, 0) and conv.groups == 1
                 and conv.bias is not None)
    return pointwise and supports_fused_tail(attention)


class InferenceBlockTail(nn.Module):
    """``activation(identity + attention(conv(x)))`` in as few passes over the map as possible.

    Args:
        conv (nn.Conv2d): The last convolution, with its normalisation folded in.
        attention (nn.Module | None): The attention after it.
        activation (nn.Module | None): What follows the addition. Defaults to None.

    Attributes:
        fused (bool | str): Whether to run in Triton kernels on CUDA, see
            :func:`~eca_mm.ops.forms.block_form`; ``'auto'`` at first.
    """

    def __init__(self,
                 conv: nn.Conv2d,
                 attention: nn.Module | None,
                 activation: nn.Module | None = None) -> None:
        super().__init__()
        self.fused: Fused = 'auto'
        self.conv = conv
        self.attention = attention
        self.activation = activation

    def forward(self, x: Tensor, identity: Tensor | None, overwrite: bool = False) -> Tensor:
        """Compute the block's output.

        Args:
            x (Tensor): Input of the convolution, of shape (N, C_in, H, W).
            identity (Tensor | None): What is added, of shape (N, C_out, H', W').
            overwrite (bool): Whether ``identity`` is not needed afterwards, so that the output may
                take its memory. Defaults to False.

        Returns:
            Tensor: Of shape (N, C_out, H', W').
        """
        # Autograd needs it, and a trace would depend on whether gradients were on.
        overwrite = overwrite and not torch.is_grad_enabled() and not torch.jit.is_tracing()
        if identity is not None and should_gate_weights(x, self.conv, self.attention):
            return self._matrix_product(x, identity, overwrite)
        out = self.conv(x)
        if self._runs_accelerated(out, identity):
            attention: Any = self.attention
            return accelerated_inference_tail(out, identity, attention, self.activation)
        out = self._merge(out, identity, overwrite)
        return out if self.activation is None else self.activation(out)

    def _runs_accelerated(self, out: Tensor, identity: Tensor | None) -> bool:
        if torch.is_grad_enabled() or is_captured() or not supports_fused_tail(self.attention):
            return False
        if self.activation is not None and type(self.activation) not in ACTIVATIONS:
            return False
        if identity is not None and (identity.shape != out.shape or identity.dtype != out.dtype):
            return False
        # No kernel starts for an empty batch.
        return out.numel() > 0 and block_form(out, self.fused) == 'accelerator'

    def _merge(self, out: Tensor, identity: Tensor | None, overwrite: bool) -> Tensor:
        if identity is not None and supports_fused_tail(self.attention):
            gate = self.attention.excite(out.mean((2, 3)))[:, :, None, None]
            return identity.addcmul_(out, gate) if overwrite else torch.addcmul(identity, out, gate)
        if self.attention is not None:
            out = self.attention(out)
            return out if identity is None else out + identity
        return out if identity is None else out.add_(identity)

    def _matrix_product(self, x: Tensor, identity: Tensor, overwrite: bool) -> Tensor:
        weight, bias = self.conv.weight.flatten(1), self.conv.bias
        assert self.attention is not None
        gate = self.attention.excite(F.linear(x.mean((2, 3)), weight, bias))
        weight, bias = weight * gate[:, :, None], gate * bias
        channels_last = not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        identity = identity.contiguous(memory_format=layout)
        out = identity if overwrite else torch.empty_like(identity)
        if channels_last:
            # (N, HW, C_in) times (N, C_in, C_out)
            left, right, bias = _positions_first(x), weight.mT, bias[:, None]
            result, identity = _positions_first(out), _positions_first(identity)
        else:
            # (N, C_out, C_in) times (N, C_in, HW)
            left, right, bias = weight, x.flatten(2), bias[:, :, None]
            result, identity = out.flatten(2), identity.flatten(2)
        relu = type(self.activation) is nn.ReLU
        for i in cache_sized_slices(len(result), result):
            for j in cache_sized_slices(result.size(1), result[i]):
                piece = result[i, j]
                torch.add(identity[i, j], bias[i] if channels_last else bias[i, j], out=piece)
                piece.baddbmm_(left[i, j], right[i])
                if relu:
                    piece.relu_()
        return out if relu or self.activation is None else self.activation(out)


def _positions_first(x: Tensor) -> Tensor:
    """View a map in channels_last, (N, C, H, W), as (N, HW, C)."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)
