"""Checks of arguments and inputs that all attention layers share."""
from numbers import Integral
from typing import TypeGuard

import torch
import torch.fx
from torch import Tensor, nn

try:
    from torch.compiler import is_compiling
except ImportError:  # torch 2.1
    from torch._dynamo import is_compiling


def is_positive_int(value: object) -> TypeGuard[int]:
    """Whether a value is an integer above zero; True and False are not integers here."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) > 0


def check_in_channels(in_channels: int) -> int:
    """Check a layer's number of channels.

    Args:
        in_channels (int): Number of channels C of the input.

    Returns:
        int: The same number.

    Raises:
        ValueError: If it is not a positive integer.
    """
    if not is_positive_int(in_channels):
        raise ValueError(f'in_channels is {in_channels!r}, but must be a positive integer.')
    return int(in_channels)


def check_input(layer: nn.Module, x: Tensor) -> None:
    """Check that a feature map is 4-D and has the channels that the layer was built for.

    Args:
        layer (nn.Module): A layer with an attribute ``in_channels``.
        x (Tensor): What it is called with.

    Raises:
        ValueError: If ``x`` is not of shape (N, in_channels, H, W).
    """
    # A traced size is a tensor or a proxy, which Python cannot branch on without freezing it.
    if is_traced():
        return
    if x.dim() != 4 or x.size(1) != layer.in_channels:
        raise ValueError(
            f'{type(layer).__name__} got an input of shape {tuple(x.shape)}, but expects '
            f'(N, {layer.in_channels}, H, W); build it with the channels of the map it follows.')


def reduced_channels(in_channels: int, reduction: int) -> int:
    """Number of channels in a bottleneck, C / r rounded down.

    Args:
        in_channels (int): Number of channels C.
        reduction (int): Reduction ratio r.

    Returns:
        int: Number of channels after the reduction, at least 1.

    Raises:
        ValueError: If ``reduction`` is not a positive integer or leaves no channel.
    """
    if not is_positive_int(reduction):
        raise ValueError(f'reduction is {reduction!r}, but must be a positive integer.')
    if reduction > in_channels:
        raise ValueError(f'reduction is {reduction}, which leaves none of the {in_channels} '
                         f'channels; choose one of at most {in_channels}.')
    return in_channels // reduction


def odd_kernel_size(kernel_size: int) -> int:
    """Check the size of a spatial convolution that keeps the size of its map.

    Args:
        kernel_size (int): Size s of the convolution.

    Returns:
        int: The same number.

    Raises:
        ValueError: If it is not a positive odd integer.
    """
    if not is_positive_int(kernel_size) or kernel_size % 2 == 0:
        raise ValueError(f'The kernel_size of the spatial convolution is {kernel_size!r}, but must '
                         'be a positive odd integer (CBAM uses 7).')
    return int(kernel_size)


def is_captured() -> bool:
    """Whether the code is being traced or compiled rather than run."""
    return is_compiling() or is_traced()


def is_traced() -> bool:
    """Whether sizes are traced rather than numbers, so that Python cannot branch on them."""
    return torch.jit.is_tracing() or is_fx_tracing()


# The old name warns on torch 2.12; torch 2.1 has no other.
_asks_fx = (getattr(torch.fx._symbolic_trace, 'is_fx_symbolic_tracing', None)
            or torch.fx._symbolic_trace.is_fx_tracing)


def is_fx_tracing() -> bool:
    """Whether torch.fx records the operations, with proxies instead of tensors."""
    return not is_compiling() and _asks_fx()


def is_transformed() -> bool:
    """Whether vmap or another of torch.func's transformations sees the operations."""
    return torch._C._functorch.peek_interpreter_stack() is not None
