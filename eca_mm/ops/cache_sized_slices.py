"""Pieces of a batch that fit into a processor's cache."""
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
