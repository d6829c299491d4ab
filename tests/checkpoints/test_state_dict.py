"""Weights are found in whatever a checkpoint wraps them in."""
import pytest
import torch

from eca_mm.checkpoints.finite import check_finite, not_finite
from eca_mm.checkpoints.state_dict import state_dict_of
from eca_mm.utils.errors import UserError

WEIGHTS = {'conv.weight': torch.ones(2), 'count': torch.tensor(3)}


@pytest.mark.parametrize('wrap', [
    lambda weights: weights, lambda weights: {'state_dict': weights, 'epoch': 3},
    lambda weights: {'model': {'state_dict': weights}},
    lambda weights: {'state_dict': {f'module._orig_mod.{k}': v for k, v in weights.items()}}])
def test_wrappers(wrap):
    assert state_dict_of(wrap(WEIGHTS)) == WEIGHTS


def test_averaged_weights_are_preferred_where_they_are_asked_for():
    checkpoint = {'state_dict': {'a': torch.ones(1)}, 'state_dict_ema': WEIGHTS}
    assert list(state_dict_of(checkpoint)) == ['a']
    assert state_dict_of(checkpoint, ['state_dict_ema']) == WEIGHTS


@pytest.mark.parametrize(('checkpoint', 'said'), [
    ({}, 'no weights'), ({'state_dict': {}}, 'no weights'),
    ({**WEIGHTS, 'epoch': 3}, "holds a int under 'epoch'"),
    ({**WEIGHTS, 'module.count': torch.tensor(3)}, "holds 'count' twice")])
def test_what_holds_no_weights(checkpoint, said):
    with pytest.raises(UserError, match=said):
        state_dict_of(checkpoint)


def test_weights_that_are_not_finite_are_named():
    check_finite(WEIGHTS)
    bad = {f'w{i}': torch.tensor([1., float('nan') if i % 2 else float('inf')]) for i in range(4)}
    assert not_finite({**WEIGHTS, **bad, 'meta': 'nan'}) == list(bad)
    with pytest.raises(UserError, match=r'in 4 of its weights \(w0, w1, w2, \.\.\.\)'):
        check_finite(bad)
