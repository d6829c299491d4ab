"""The end of a residual block on an accelerator at inference time: the means, and one pass."""
import torch
from torch import Tensor, nn

from eca_mm.layers.channel_attention import ChannelAttention

from . import accelerated_ops as ops
from .accelerated_block_tail import gate_kind, gate_top, like_format
from .bn_reductions import map_means, without_autocast


def accelerated_inference_tail(z: Tensor, identity: Tensor | None, attention: ChannelAttention,
                               activation: nn.Module | None) -> Tensor:
    """Compute ``activation(identity + attention(z))``, without gradients.

    ECA's gate is computed from the means within the pass over the map.

    Args:
        z (Tensor): Output of the last convolution, of shape (N, C, H, W), in fp32, fp16 or bf16.
        identity (Tensor | None): What is added, of the same shape and type; None for nothing.
        attention (ChannelAttention): The attention.
        activation (nn.Module | None): ReLU, ReLU6 or None.

    Returns:
        Tensor: Of shape (N, C, H, W), in the memory format of ``z``.
    """
    z = like_format(z, z)
    identity = None if identity is None else like_format(identity, z)
    act = ops.ACTIVATIONS[None if activation is None else type(activation)]
    means, kind, top = map_means(z), gate_kind(attention), gate_top(attention)
    params = list(attention.parameters())
    if kind == 'eca':
        return ops.gate_and_add(z, identity, means, params[0], top, act)
    if kind == 'se':
        _, gate = ops.se_gate(means, *params, top)
    else:
        with without_autocast(z), torch.no_grad():
            # In the parameters' type, as the layer itself computes it.
            gate = attention.excite(means.to(params[0].dtype) if params else means).contiguous()
    return ops.gate_and_add(z, identity, gate, None, top, act)
