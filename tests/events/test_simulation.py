"""Simulated events add up to the change of brightness."""
import numpy as np
import pytest

from eca_mm.events import simulate_events


def log(picture):
    return np.log(picture + 1e-2)


def test_events_add_up_to_the_change():
    rng = np.random.default_rng(0)
    pictures = rng.uniform(0, 1, (6, 9, 11))
    times = np.arange(6) * 1000.
    events = simulate_events(pictures, times, rng, threshold=.2, noise_rate=0)
    total = np.zeros((9, 11))
    np.add.at(total, (events.y, events.x), np.where(events.polarity > 0, .2, -.2))
    assert np.abs(total - (log(pictures[-1]) - log(pictures[0]))).max() < .2
    assert (np.diff(events.t) >= 0).all() and 0 <= events.t[0] and events.t[-1] <= 5000


def test_crossings_are_interpolated():
    start = np.full((1, 1), .1)
    end = np.exp(log(start) + 1.) - 1e-2
    events = simulate_events([start, end], [0, 1000], np.random.default_rng(0), .25, 0)
    assert events.t.tolist() == [250, 500, 750, 1000] and events.polarity.tolist() == [1] * 4


def test_still_picture_gives_noise_only():
    pictures = [np.ones((50, 40))] * 3
    rng = np.random.default_rng(0)
    events = simulate_events(pictures, [0, 500_000, 1_000_000], rng, noise_rate=1.)
    assert 1800 < len(events) < 2200 and .45 < events.polarity.mean() < .55
    assert len(simulate_events(pictures, [0, 5, 10], rng, noise_rate=0)) == 0
    assert len(simulate_events([], [], rng)) == 0


def test_bad_arguments():
    with pytest.raises(ValueError, match='ascend'):
        simulate_events([np.ones((2, 2))] * 2, [5, 5], np.random.default_rng(0))
    with pytest.raises(ValueError, match='threshold'):
        simulate_events([], [], np.random.default_rng(0), threshold=0)
    with pytest.raises(ValueError, match='noise_rate -1'):
        simulate_events([], [], np.random.default_rng(0), noise_rate=-1)
    for picture in (np.ones((3, 2)), np.full((2, 2), np.nan), np.full((2, 2), -1.), np.ones(2)):
        with pytest.raises(ValueError, match='picture at 5 us'):
            simulate_events([np.ones((2, 2)), picture], [0, 5], np.random.default_rng(0))
