"""Weights that init_cfg names must be of the module's architecture."""
import pytest
import torch
from mmengine.model import BaseModule
from torch import nn

from eca_mm.checkpoints.keys import MisfitError
from eca_mm.engine.weights import check_pretrained


class Pair(BaseModule):

    def __init__(self, *init):
        super().__init__(list(init))
        self.first, self.second = nn.Linear(2, 3), nn.Linear(3, 4)


@pytest.fixture
def named(tmp_path):
    """Save weights and name them as init_cfg does."""
    def named(weights, **options):
        torch.save(weights, tmp_path / f'{len(list(tmp_path.iterdir()))}.pth')
        path = max(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        return dict(type='Pretrained', checkpoint=str(path), **options)

    return named


def test_what_fits(named):
    assert check_pretrained(Pair(dict(type='Xavier', layer='Linear'))) is None
    weights = Pair().state_dict()
    assert check_pretrained(Pair(named(weights))).fits
    # Absent weights are accepted: an attention is new to a trained network.
    del weights['second.bias']
    assert check_pretrained(Pair(named(weights))).missing == ['second.bias']
    part = {f'backbone.{name}': value for name, value in weights.items()}
    for prefix in ('backbone', 'backbone.'):
        assert len(check_pretrained(Pair(named(part, prefix=prefix))).matched) == 3


def test_what_does_not(named):
    weights = Pair().state_dict()
    other = {**weights, 'second.weight': torch.ones(5, 3)}
    with pytest.raises(MisfitError, match=r'0\.pth do not fit Pair: .*second\.weight 5x3, not 4x3'):
        check_pretrained(Pair(named(other)))
    with pytest.raises(MisfitError, match=r"1\.pth \(its part 'neck\.'\) do not fit Pair"):
        check_pretrained(Pair(named(weights, prefix='neck')))
    # The first of several counts too.
    with pytest.raises(MisfitError, match='2.pth'):
        check_pretrained(Pair(named(other), named(weights)))
