"""The end of a residual block at inference time: last convolution, attention, addition, ReLU."""
from typing import Any

import torch
from torch import Tensor, nn

from eca_mm.layers.channel_attention import has_global_hooks, supports_fused_tail
from eca_mm.layers.checks import is_captured, is_transformed

from .accelerated_inference import accelerated_inference_tail
from .accelerated_ops import ACTIVATIONS
from .cpu_inference import CpuTail
from .forms import Fused, block_form


def runs_eagerly_on_cpu(x: Tensor) -> bool:
    """Tell whether operations run on a CPU one by one, and may overwrite what is not needed.

    Args:
        x (Tensor): Any map.

    Returns:
        bool: Never while a gradient is recorded, which needs what is overwritten, while the model
        is traced or compiled, as compilers fuse by themselves, or while all modules have hooks.
    """
    return (not torch.is_grad_enabled() and not is_captured() and not is_transformed()
            and not has_global_hooks() and block_form(x, True) == 'cpu')


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
        on_cpu = self.on_cpu() if runs_eagerly_on_cpu(x) else None
        if on_cpu is not None:
            return on_cpu(x, identity, overwrite)
        # Autograd needs it, and a trace would depend on whether gradients were on.
        overwrite = overwrite and not torch.is_grad_enabled() and not torch.jit.is_tracing()
        result = self.conv(x)
        if self._runs_accelerated(result, identity):
            attention: Any = self.attention
            return accelerated_inference_tail(result, identity, attention, self.activation)
        result = self._merge(result, identity, overwrite)
        return result if self.activation is None else self.activation(result)

    def on_cpu(self) -> CpuTail | None:
        """Resolve the end of the block to operations that suit a CPU.

        Returns:
            CpuTail | None: None where that is switched off, or the attention has to be called.
        """
        if not self.fused or not (self.attention is None or supports_fused_tail(self.attention)):
            return None
        return CpuTail(self.conv, self.attention, self.activation)

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
