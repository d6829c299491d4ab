"""The end of a residual block on a CPU at inference time, in operations that its caches like."""
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from eca_mm.layers.channel_attention import ChannelAttention, is_watched

from .bn_reductions import HALF, is_channels_last, map_means
from .cache_sized_slices import SLICE_BYTES, cache_sized_slices
from .layer_plan import convolution, in_place_activation, is_plain_conv, treats_samples_alone

# Larger maps come in fresh memory from the system each time (glibc keeps up to 32 MB), which costs
# more than the arithmetic on them, and are therefore computed in pieces.
LARGE_BYTES = 32 * 2**20
# About what one core keeps of a map that it has just computed.
CACHE_BYTES = 2 * 2**20
_MOST_AVERAGED = 64 * 64
# Sizes of maps whose weights are kept.
_MOST_KEPT = 256
_mean_weights: dict[tuple[int, torch.dtype], Tensor] = {}
# PyTorch before 2.4 has no argument for the device, and later ones warn without it.
_autocasts: Callable[[], bool] = (
    partial(torch.is_autocast_enabled, 'cpu') if hasattr(torch.library, 'custom_op')
    else torch.is_autocast_cpu_enabled)
def is_large(x: Tensor) -> bool:
    """Tell whether a map is large enough to be computed in pieces.

    Args:
        x (Tensor): Any map.

    Returns:
        bool: Whether.
    """
    return x.numel() * x.element_size() > LARGE_BYTES


class CpuTail:
    """``activation(identity + attention(conv(x)))`` in operations that suit a CPU.

    Args:
        conv (nn.Conv2d): The convolution.
        attention (ChannelAttention | None): An attention for which
            :func:`~eca_mm.layers.channel_attention.supports_fused_tail` holds; None for none.
        activation (nn.Module | None): What follows the addition.

    Attributes:
        can_be_cut (bool): Whether it may run for some samples at a time.
        owns_output (bool): Whether the output is a new map that nobody else has.
    """

    def __init__(self, conv: nn.Conv2d, attention: ChannelAttention | None,
                 activation: nn.Module | None) -> None:
        self._conv, self._activation = conv, activation
        self._convolution = convolution(conv) if is_plain_conv(conv) else None
        self._gate_of = None if attention is None else attention.eager_gate()
        self._in_place = in_place_activation(activation)
        self._averages_commute = (
            self._convolution is not None and self._gate_of is not None
            and conv.in_channels < conv.out_channels and conv.kernel_size == conv.stride == (1, 1)
            and conv.padding == (0, 0) and conv.groups == 1 and conv.bias is not None)
        # Beyond, or with another activation, the general rules decide.
        self._most_positions = -1
        if (self._convolution is not None and self._gate_of is not None
                and (activation is None or self._in_place is not None)):
            self._most_positions = min(_MOST_AVERAGED, CACHE_BYTES // (4 * conv.out_channels))
        self.can_be_cut = treats_samples_alone(conv) and treats_samples_alone(activation)
        self.owns_output = self._convolution is not None and (
            activation is None or not is_watched(activation))

    def __call__(self, x: Tensor, identity: Tensor | None, overwrite: bool,
                 out: Tensor | None = None) -> Tensor:
        """Compute the block's output, without gradients.

        Args:
            x (Tensor): Input of the last convolution, of shape (N, C_in, H, W).
            identity (Tensor | None): What is added, of shape (N, C_out, H', W'); None for nothing.
            overwrite (bool): Whether the output may take the memory of ``identity``.
            out (Tensor | None): Where the output has to be, of the shape of ``identity``. Defaults
                to None: anywhere.

        Returns:
            Tensor: Of shape (N, C_out, H', W').
        """
        if out is None and len(x) == 1 and x.size(2) * x.size(3) <= self._most_positions:
            return self._of_small_image(x, identity)
        conv, gate_of, gate = self._conv, self._gate_of, None
        if self._averages_commute and _takes_gate_from_input(x, conv, identity):
            assert gate_of is not None
            gate = gate_of(_means_after(x, conv))
            product = identity is not None and _is_quick_as_product(x, conv)
            if identity is not None and (product or is_large(identity)):
                identity = identity.contiguous(memory_format=_layout(x))
                if out is None:
                    out = identity if overwrite else torch.empty_like(identity)
                compute = _matrix_product if product and _layout(out) is _layout(x) else _in_pieces
                return compute(x, conv, gate, self._activate_piece, identity, out)
        z = conv(x) if self._convolution is None else torch.conv2d(x, *self._convolution)
        if gate_of is not None and gate is None:
            gate = gate_of(_means(z))
        return self._merge(z, gate, identity, out)

    def _of_small_image(self, x: Tensor, identity: Tensor | None) -> Tensor:
        """The same without the rules, which take one image as long as an attention."""
        assert self._convolution is not None and self._gate_of is not None
        z = torch.conv2d(x, *self._convolution)
        _, channels, height, width = z.shape
        area = height * width
        weights = _mean_weights.get((area, z.dtype))
        if (weights is None or z.stride(1) != 1 or identity is None
                or identity.shape != z.shape or identity.dtype is not z.dtype):
            return self._merge(z, self._gate_of(_means(z)), identity, None)
        gate = self._gate_of(torch.mm(weights, z.as_strided((area, channels), (channels, 1))))
        torch.addcmul(identity, z, gate, out=z)
        return z if self._in_place is None else self._in_place(z)

    def _merge(self, z: Tensor, gate: Tensor | None, identity: Tensor | None,
               out: Tensor | None) -> Tensor:
        # The convolution's output is nobody else's, and still in the cache.
        mine = self._convolution is not None and (gate is None or gate.dtype == z.dtype)
        own = z if mine else None
        if identity is None:
            result = z if gate is None else torch.mul(z, gate, out=own)
        else:
            if out is None and identity.shape == z.shape and identity.dtype == z.dtype:
                out = own
            result = (torch.add(identity, z, out=out) if gate is None else
                      torch.addcmul(identity, z, gate, out=out))
        if self._activation is None:
            return result
        if self._in_place is not None and (mine or result is not z):
            return self._in_place(result)
        return self._activation(result)

    def _activate_piece(self, piece: Tensor) -> None:
        if self._in_place is not None:
            self._in_place(piece)
        elif self._activation is not None:
            result = self._activation(piece)
            if result is not piece:
                piece.copy_(result)


def _takes_gate_from_input(x: Tensor, conv: nn.Conv2d, identity: Tensor | None) -> bool:
    """Whether averaging the convolution's input, and not its output, takes less.

    Averaging commutes with a 1x1 convolution: ``GAP(Wx + b) = W GAP(x) + b``. It pays where the
    output is not in the cache any more.
    """
    c_in, c_out = conv.in_channels, conv.out_channels
    n, _, height, width = x.shape
    positions = n * height * width
    if (positions * c_out * x.element_size() < CACHE_BYTES
            or positions * (c_out - c_in) <= c_out * c_in):
        return False
    # In half precision the means would be rounded once more.
    if x.dtype not in (torch.float32, torch.float64) or conv.weight.dtype is not x.dtype:
        return False
    if identity is not None and (identity.dtype is not x.dtype or identity.size(0) != n
                                 or identity.shape[2:] != x.shape[2:]):
        return False
    return not _autocasts()


def _means_after(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """The means of a 1x1 convolution's output, from its input."""
    assert conv.bias is not None
    weight = conv.weight.flatten(1).t()
    if _is_averaged_by_product(x):
        return torch.addmm(conv.bias, _means(x), weight)
    return torch.addmm(conv.bias, x.sum((2, 3)), weight, alpha=1 / (x.size(2) * x.size(3)))


def _is_quick_as_product(x: Tensor, conv: nn.Conv2d) -> bool:
    """Whether one matrix product with gated weights beats a convolution and another pass.

    It has one weight matrix per sample to prepare, so that it takes a large map, and with several
    threads convolutions are up to twice as fast as products of the same size.
    """
    return x.size(2) * x.size(3) >= 2 * conv.in_channels and torch.get_num_threads() == 1


def _means(z: Tensor) -> Tensor:
    if z.dtype in HALF or not z.numel():
        return z.mean((2, 3))
    area, channels = z.size(2) * z.size(3), z.size(1)
    if _is_averaged_by_product(z):
        return torch.mm(_weights_of_mean(area, z), z.as_strided((area, channels), (channels, 1)))
    return map_means(z)


def _is_averaged_by_product(z: Tensor) -> bool:
    """Whether a product, which is one operation instead of two, gives the means.

    It adds less exactly than a reduction, so not on large maps.
    """
    return (z.size(0) == 1 and z.size(2) * z.size(3) <= _MOST_AVERAGED
            and z.is_contiguous(memory_format=torch.channels_last))


def _weights_of_mean(area: int, z: Tensor) -> Tensor:
    """A row of ``1 / area``, kept because making it takes as long as the product with it."""
    weights = _mean_weights.get((area, z.dtype))
    if weights is None:
        weights = z.new_full((1, area), 1 / area)
        # A fake tensor, or another subclass, is for whoever has made z alone.
        if type(weights) is Tensor and len(_mean_weights) < _MOST_KEPT:
            _mean_weights[area, z.dtype] = weights
    return weights


def _in_pieces(x: Tensor, conv: nn.Conv2d, gate: Tensor, activate: Callable[[Tensor], None],
               identity: Tensor, out: Tensor) -> Tensor:
    """Convolve, add and activate rows that fit into the cache, without another map."""
    rows = identity.size(2)
    if is_channels_last(x):
        rows = max(1, SLICE_BYTES * rows // (identity[0].numel() * identity.element_size()))
    for n in range(len(x)):
        for top in range(0, x.size(2), rows):
            part = slice(n, n + 1), slice(None), slice(top, top + rows)
            piece = torch.addcmul(identity[part], conv(x[part]), gate[n:n + 1], out=out[part])
            activate(piece)
    return out


def _layout(x: Tensor) -> torch.memory_format:
    return torch.channels_last if is_channels_last(x) else torch.contiguous_format


def _matrix_product(x: Tensor, conv: nn.Conv2d, gate: Tensor,
                    activate: Callable[[Tensor], None], identity: Tensor, out: Tensor) -> Tensor:
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
            activate(piece)
    return out


def _positions_first(x: Tensor) -> Tensor:
    """View a map in channels_last, (N, C, H, W), as (N, HW, C)."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)
