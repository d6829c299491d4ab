"""Statistics per class against NumPy on all values at once."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eca_mm.visualization.class_statistics import ClassStatistics


def statistics(labels, values, num_classes, splits=()):
    result = ClassStatistics(num_classes, values.shape[1])
    for part in np.split(np.arange(len(labels)), splits):
        if len(part):
            result.add(labels[part], values[part])
    return result


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 24), max_size=3))
def test_batches_give_what_numpy_gives_at_once(seed, splits):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(5), np.arange(5), rng.integers(0, 5, 15)])
    values = rng.random((25, 3)) * .1 + .45
    result = statistics(labels, values, 7, sorted(splits))
    means = np.array([values[labels == i].mean(0) for i in range(5)])
    np.testing.assert_allclose(result.means()[:5], means, rtol=1e-12)
    assert np.isnan(result.means()[5:]).all()
    np.testing.assert_allclose(result.overall(), means.mean(0), rtol=1e-12)
    within = sum(((values[labels == i] - means[i])**2).sum(0) for i in range(5)) / (25 - 5)
    np.testing.assert_allclose(result.variances()[1], within, rtol=1e-9)


def test_classes_of_one_size_have_the_textbook_variances():
    rng = np.random.default_rng(0)
    values = rng.random((6, 4, 3))
    between, within = statistics(np.repeat(np.arange(6), 4), values.reshape(24, 3), 6).variances()
    np.testing.assert_allclose(within, values.var(1, ddof=1).mean(0))
    np.testing.assert_allclose(between, values.mean(1).var(0, ddof=1) - within / 4)


@pytest.mark.parametrize('spread', [0, .5, 2])
def test_ratio_finds_how_far_classes_are_apart(spread):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(200), rng.integers(2, 8, 200))
    values = rng.normal(0, spread, (200, 100))[labels] + rng.normal(0, 1, (len(labels), 100))
    assert statistics(labels, values, 200).specificity().ratio == pytest.approx(
        spread**2, abs=.02 + .05 * spread**2)


def test_undefined_values_are_nan():
    one_each = statistics(np.arange(4), np.random.rand(4, 2), 4).specificity()
    one_class = statistics(np.zeros(4, int), np.random.rand(4, 2), 4).specificity()
    assert all(np.isnan([one_each.between, one_each.within, one_class.between]))
    constant = statistics(np.array([0, 0, 1, 1]), np.full((4, 2), .5), 2).specificity()
    assert (constant.between, constant.within) == (0, 0) and np.isnan(constant.ratio)
