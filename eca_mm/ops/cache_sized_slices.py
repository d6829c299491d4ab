"""Pieces of a batch that fit into a processor's cache."""
from collections.abc import Iterator

from torch import Tensor

# What one operation wrote is still in the cache when the next one reads it.
SLICE_BYTES = 4 * 2**20


def cache_sized_slices(length: int, x: Tensor) -> list[slice]:
    """Cut one dimension of a map so that the pieces have about 4 MB.

    Args:
        length (int): Length of the dimension.
        x (Tensor): What is cut into ``length`` equal parts.

    Returns:
        list[slice]: The pieces; a single one on devices other than the CPU, where it is the
        number of operations that counts.
    """
    step = length
    if x.device.type == 'cpu':
        step = max(1, SLICE_BYTES * length // max(1, x.numel() * x.element_size()))
    return [slice(i, min(i + step, length)) for i in range(0, length, max(1, step))]


def cache_sized_parts(x: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Cut a map, and what belongs to its samples, into pieces of about 4 MB of the map.

    Args:
        x (Tensor): The map, of shape (N, C, H, W).
        others (Tensor): Anything of shape (N, ...).

    Returns:
        Iterator[tuple[Tensor, ...]]: Views of the same samples of all of them.
    """
    slices = cache_sized_slices(len(x), x)
    if len(slices) == 1:
        return iter([(x, *others)])
    step = slices[0].stop
    return zip(*(tensor.split(step) for tensor in (x, *others)), strict=True)
