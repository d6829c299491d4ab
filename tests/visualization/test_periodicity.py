"""Known periods are found, and none are found in noise."""
import numpy as np
import pytest

from eca_mm.visualization.periodicity import autocorrelation, measure_periodicity


def test_autocorrelation_is_that_of_its_definition():
    y = np.random.default_rng(0).normal(3, 2, (2, 21))
    result = autocorrelation(y)
    assert result.shape == (2, 11)
    for row, found in zip(y, result, strict=True):
        d = row - row.mean()
        expected = [np.sum(d[:len(d) - lag] * d[lag:]) / np.sum(d**2) for lag in range(11)]
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_channels_that_do_not_vary_have_none():
    assert not autocorrelation(np.full(16, .3)).any()
    found = measure_periodicity(np.full(16, .3), shuffles=19)
    assert (found.period, found.neighbours, found.peak_p) == (None, 0, 1)


@pytest.mark.parametrize('period', [4, 9, 16])
def test_a_period_in_noise_is_found(period):
    rng = np.random.default_rng(period)
    y = np.sin(2 * np.pi * np.arange(256) / period) + rng.normal(0, .7, 256)
    found = measure_periodicity(y, shuffles=199)
    assert abs(found.period - period) <= 1
    assert found.peak > .4 and found.peak_p <= .01


def test_noise_has_a_period_as_often_as_expected_by_chance():
    rng = np.random.default_rng(0)
    found = [measure_periodicity(rng.normal(size=64), shuffles=99) for _ in range(200)]
    for shares in ([f.peak_p for f in found], [f.neighbours_p for f in found]):
        # Uniform p: 10 of 200 below 5 % expected, with a deviation of 3.
        assert np.sum(np.array(shares) <= .05) <= 22
        assert .4 < np.mean(shares) < .6
    outside = np.mean([(f.autocorrelation[1:] < f.band[0, 1:])
                       | (f.autocorrelation[1:] > f.band[1, 1:]) for f in found])
    assert .02 < outside < .09


def test_neighbours_alike_are_found_without_a_period():
    y = np.repeat(np.random.default_rng(0).normal(size=64), 2)
    found = measure_periodicity(y, shuffles=199)
    assert found.neighbours > .3 and found.neighbours_p <= .01


def test_a_few_channels_are_refused():
    with pytest.raises(ValueError, match='7 channels'):
        measure_periodicity(np.arange(7))
