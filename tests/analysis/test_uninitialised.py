"""Models without initial weights are what they are with them, but for the values."""
import torch
from torch import nn

from eca_mm.analysis.uninitialised import WithoutInitialisation
from eca_mm.backbones import ECAResNet


def test_names_shapes_and_counts_are_the_same():
    options = dict(depth=18, base_channels=8, stem_channels=8)
    with WithoutInitialisation():
        bare = ECAResNet(**options)
    expected = ECAResNet(**options).state_dict()
    found = bare.state_dict()
    assert list(found) == list(expected)
    assert all(value.shape == expected[name].shape for name, value in found.items())


def test_nothing_is_drawn_inside_and_all_is_outside():
    before = torch.get_rng_state()
    with WithoutInitialisation():
        layer = nn.Linear(3, 4)
        assert nn.init.zeros_(tensor=layer.weight) is layer.weight
        # What is not of torch.nn.init is done.
        assert torch.ones(2).sum() == 2
    assert torch.equal(torch.get_rng_state(), before)
    assert nn.init.constant_(layer.weight, 2.).eq(2).all()
