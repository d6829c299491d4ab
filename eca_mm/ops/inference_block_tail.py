"""The end of a residual block at inference time: last convolution, attention, addition, ReLU."""
from typing import Any

import torch
from torch import Tensor, nn

from eca_mm.layers.channel_attention import supports_fused_tail
from eca_mm.layers.checks import is_captured, is_transformed

from .accelerated_inference import accelerated_inference_tail
from .accelerated_ops import ACTIVATIONS
from .cpu_inference import cpu_inference_tail
from .forms import Fused, block_form


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

    def forward(self, x: Tensor, identity: Tensor | None, overwrite: bool = False,
                out: Tensor | None = None) -> Tensor:
        """Compute the block's output.

        Args:
            x (Tensor): Input of the convolution, of shape (N, C_in, H, W).
            identity (Tensor | None): What is added, of shape (N, C_out, H', W').
            overwrite (bool): Whether ``identity`` is not needed afterwards, so that the output may
                take its memory. Defaults to False.
            out (Tensor | None): Where the output has to be, if :meth:`runs_on_cpu`. Defaults to
                None: anywhere.

        Returns:
            Tensor: Of shape (N, C_out, H', W').
        """
        if self.runs_on_cpu(x):
            return cpu_inference_tail(x, self.conv, self.attention, self.activation, identity,
                                      overwrite, out)
        # Autograd needs it, and a trace would depend on whether gradients were on.
        overwrite = overwrite and not torch.is_grad_enabled() and not torch.jit.is_tracing()
        result = self.conv(x)
        if self._runs_accelerated(result, identity):
            attention: Any = self.attention
            return accelerated_inference_tail(result, identity, attention, self.activation)
        result = self._merge(result, identity, overwrite)
        return result if self.activation is None else self.activation(result)

    def runs_on_cpu(self, x: Tensor) -> bool:
        """Tell whether the operations may be those that suit a CPU.

        Args:
            x (Tensor): Input of the convolution.

        Returns:
            bool: Never while a gradient is recorded, which needs what is overwritten, or while the
            model is traced or compiled: compilers fuse by themselves.
        """
        if (torch.is_grad_enabled() or is_captured() or is_transformed()
                or block_form(x, self.fused) != 'cpu'):
            return False
        return self.attention is None or supports_fused_tail(self.attention)

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
