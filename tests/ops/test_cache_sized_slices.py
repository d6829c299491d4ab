"""The pieces that a batch is cut into."""
import torch

from eca_mm.ops.cache_sized_slices import cache_sized_slices


def test_slices_cover_everything_once():
    x = torch.empty(10, 1000, 1000)
    pieces = cache_sized_slices(10, x)
    assert [i for piece in pieces for i in range(10)[piece]] == list(range(10))
    assert len(pieces) == 10 and len(cache_sized_slices(10, x[:, :100])) == 1
    assert cache_sized_slices(0, x[:0]) == []
