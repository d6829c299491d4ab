"""The end of a residual block on a CPU at inference time, in operations that its caches like."""
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from eca_mm.layers.channel_attention import ChannelAttention, is_watched

from .bn_reductions import HALF, is_channels_last
from .cache_sized_slices import SLICE_BYTES, cache_sized_slices
from .clamp import InferenceReLU6

# Larger maps come in fresh memory from the system each time (glibc keeps up to 32 MB), which costs
# more than the arithmetic on them, and are therefore computed in pieces.
LARGE_BYTES = 32 * 2**20
# PyTorch before 2.4 has no argument for the device, and later ones warn without it.
_autocasts: Callable[[], bool] = (
    partial(torch.is_autocast_enabled, 'cpu') if hasattr(torch.library, 'custom_op')
    else torch.is_autocast_cpu_enabled)
# Layers that treat every sample by itself.
_SAMPLE_BY_SAMPLE = (nn.Sequential, nn.Identity, nn.Conv2d, nn.ReLU, nn.ReLU6, nn.AvgPool2d,
                     InferenceReLU6)


def is_large(x: Tensor) -> bool:
    """Tell whether a map is large enough to be computed in pieces.

    Args:
        x (Tensor): Any map.

    Returns:
        bool: Whether.
    """
    return x.numel() * x.element_size() > LARGE_BYTES


def treats_samples_alone(layer: nn.Module | None) -> bool:
    """Tell whether a layer does the same for a batch as for each of its samples, seen by nobody.

    Args:
        layer (nn.Module | None): Any layer, None for none.

    Returns:
        bool: False also where it or a part of it has hooks, which would hear of pieces.
    """
    if layer is None:
        return True
    return not is_watched(layer) and all(
        type(part) in _SAMPLE_BY_SAMPLE and 'forward' not in vars(part) for part in layer.modules())


def cpu_inference_tail(x: Tensor, conv: nn.Conv2d, attention: ChannelAttention | None,
                       activation: nn.Module | None, identity: Tensor | None,
                       overwrite: bool, out: Tensor | None) -> Tensor:
    """Compute ``activation(identity + attention(conv(x)))``, without gradients.

    Args:
        x (Tensor): Input of the last convolution, of shape (N, C_in, H, W).
        conv (nn.Conv2d): The convolution.
        attention (ChannelAttention | None): The attention; None for none.
        activation (nn.Module | None): What follows the addition.
        identity (Tensor | None): What is added, of shape (N, C_out, H', W'); None for nothing.
        overwrite (bool): Whether the output may take the memory of ``identity``.
        out (Tensor | None): Where the output has to be, of the shape of ``identity``; None for
            anywhere.

    Returns:
        Tensor: Of shape (N, C_out, H', W').
    """
    plain = type(conv) is nn.Conv2d and not is_watched(conv)
    gate = None
    if attention is not None and plain and _knows_gate_from_input(x, conv, identity):
        gate = _gate_from_input(x, conv, attention)
        product = identity is not None and _is_quick_as_product(x, conv)
        if identity is not None and (product or is_large(identity)):
            identity = identity.contiguous(memory_format=_layout(x))
            if out is None:
                out = identity if overwrite else torch.empty_like(identity)
            compute = _matrix_product if product and _layout(out) is _layout(x) else _in_pieces
            return compute(x, conv, gate, activation, identity, out)
    z = conv(x)
    if attention is not None and gate is None:
        gate = _as_map(attention.excite(_means(z)))
    # The convolution's output is nobody else's, and still in the cache.
    own = z if plain and (gate is None or gate.dtype == z.dtype) else None
    if identity is None:
        result = z if gate is None else torch.mul(z, gate, out=own)
    else:
        if out is None and identity.shape == z.shape and identity.dtype == z.dtype:
            out = own
        result = (torch.add(identity, z, out=out) if gate is None else
                  torch.addcmul(identity, z, gate, out=out))
    if result is z and own is None and activation is not None:
        return activation(z)
    return _activated(result, activation)


def _knows_gate_from_input(x: Tensor, conv: nn.Conv2d, identity: Tensor | None) -> bool:
    """Whether averaging the convolution's input, and not its output, is right and takes less.

    Averaging commutes with a 1x1 convolution: ``GAP(Wx + b) = W GAP(x) + b``.
    """
    c_in, c_out = conv.in_channels, conv.out_channels
    if (c_in >= c_out or conv.kernel_size != (1, 1) or conv.stride != (1, 1)
            or conv.padding != (0, 0) or conv.groups != 1 or conv.bias is None):
        return False
    # In half precision the means would be rounded once more.
    if x.dtype not in (torch.float32, torch.float64) or conv.weight.dtype is not x.dtype:
        return False
    if identity is not None and (identity.dtype is not x.dtype or identity.size(0) != x.size(0)
                                 or identity.shape[2:] != x.shape[2:]):
        return False
    n, _, height, width = x.shape
    return n * height * width * (c_out - c_in) > c_out * c_in and not _autocasts()


def _gate_from_input(x: Tensor, conv: nn.Conv2d, attention: ChannelAttention) -> Tensor:
    assert conv.bias is not None
    means = torch.addmm(conv.bias, x.sum((2, 3)), conv.weight.flatten(1).t(),
                        alpha=1 / (x.size(2) * x.size(3)))
    return _as_map(attention.excite(means))


def _is_quick_as_product(x: Tensor, conv: nn.Conv2d) -> bool:
    """Whether one matrix product with gated weights beats a convolution and another pass.

    It has one weight matrix per sample to prepare, so that it takes a large map, and with several
    threads convolutions are up to twice as fast as products of the same size.
    """
    return x.size(2) * x.size(3) >= 2 * conv.in_channels and torch.get_num_threads() == 1


def _means(z: Tensor) -> Tensor:
    if z.dtype in HALF or not z.numel():
        return z.mean((2, 3))
    # A mean takes twice as long for small maps, most of it to prepare its divisor.
    return z.sum((2, 3)).mul_(1 / (z.size(2) * z.size(3)))


def _in_pieces(x: Tensor, conv: nn.Conv2d, gate: Tensor, activation: nn.Module | None,
               identity: Tensor, out: Tensor) -> Tensor:
    """Convolve, add and activate rows that fit into the cache, without another map."""
    rows = identity.size(2)
    if is_channels_last(x):
        rows = max(1, SLICE_BYTES * rows // (identity[0].numel() * identity.element_size()))
    for n in range(len(x)):
        for top in range(0, x.size(2), rows):
            part = slice(n, n + 1), slice(None), slice(top, top + rows)
            piece = torch.addcmul(identity[part], conv(x[part]), gate[n:n + 1], out=out[part])
            _activated(piece, activation, piece)
    return out


def _layout(x: Tensor) -> torch.memory_format:
    return torch.channels_last if is_channels_last(x) else torch.contiguous_format


def _matrix_product(x: Tensor, conv: nn.Conv2d, gate: Tensor, activation: nn.Module | None,
                    identity: Tensor, out: Tensor) -> Tensor:
    """Compute ``identity + gate * bias + (gate * W) x`` in pieces that fit into the cache."""
    assert conv.bias is not None
    weight, bias = conv.weight.flatten(1) * gate.flatten(2), conv.bias * gate.flatten(1)
    channels_last = is_channels_last(x)
    if channels_last:
        # (N, HW, C_in) times (N, C_in, C_out)
        left, right, bias = _positions_first(x), weight.mT, bias[:, None]
        result, identity = _positions_first(out), _positions_first(identity)
    else:
        # (N, C_out, C_in) times (N, C_in, HW)
        left, right, bias = weight, x.flatten(2), bias[:, :, None]
        result, identity = out.flatten(2), identity.flatten(2)
    for i in cache_sized_slices(len(result), result):
        for j in cache_sized_slices(result.size(1), result[i]):
            piece = result[i, j]
            torch.add(identity[i, j], bias[i] if channels_last else bias[i, j], out=piece)
            piece.baddbmm_(left[i, j], right[i])
            _activated(piece, activation, piece)
    return out


def _positions_first(x: Tensor) -> Tensor:
    """View a map in channels_last, (N, C, H, W), as (N, HW, C)."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def _activated(x: Tensor, activation: nn.Module | None, out: Tensor | None = None) -> Tensor:
    if activation is None:
        return x
    if type(activation) is nn.ReLU and not is_watched(activation):
        return x.relu_()
    result = activation(x)
    if out is not None and result is not out:
        out.copy_(result)
    return result


def _as_map(x: Tensor) -> Tensor:
    return x.view(*x.shape, 1, 1)
