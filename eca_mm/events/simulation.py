"""Events that a sensor would see of a drawn scene."""
from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .arrays import Events


def simulate_events(pictures: Iterable[np.ndarray],
                    times: Iterable[float],
                    rng: np.random.Generator,
                    threshold: float = 0.25,
                    noise_rate: float = 0.1) -> Events:
    """Simulate an event camera that watches a sequence of pictures on a fine raster of time.

    A pixel fires whenever its logarithmic intensity has moved by the threshold since it last
    fired; the moment of each crossing is interpolated between two pictures (Rebecq et al., ESIM,
    CoRL 2018). Noise fires anywhere, with either polarity.

    Args:
        pictures (Iterable[np.ndarray]): Linear intensities from 0 on, of shape (H, W) each.
        times (Iterable[float]): Their times in microseconds, ascending.
        rng (np.random.Generator): Source of the noise.
        threshold (float): Contrast threshold in logarithmic intensity. Defaults to 0.25.
        noise_rate (float): Noise events per pixel and second. Defaults to 0.1.

    Returns:
        Events: Sorted by time; ``x`` and ``y`` are uint16, ``t`` int64, ``polarity`` uint8.

    Raises:
        ValueError: If the threshold is not positive, the rate is negative, the times do not ascend,
            or a picture has another shape than the first, or values that are negative or not
            finite.
    """
    if not threshold > 0 or not noise_rate >= 0:
        raise ValueError(f'threshold is {threshold!r} and noise_rate {noise_rate!r}, but the '
                         'first must be positive and the second not negative.')
    parts: list[tuple] = []
    reference: np.ndarray | None = None
    before, previous = 0., np.zeros(0)
    for picture, now in zip(pictures, times, strict=True):
        light = np.asarray(picture, np.float64)
        if light.ndim != 2 or not ((light >= 0) & (light < np.inf)).all() or (
                reference is not None and light.shape != reference.shape):
            raise ValueError(f'The picture at {now} us has the shape {light.shape}; pictures of '
                             'one shape (H, W) and finite values from 0 on are expected.')
        # The offset keeps black pixels from firing without end.
        level = np.log(light + 1e-2)
        if reference is None:
            reference = level.copy()
        else:
            if now <= before:
                raise ValueError(f'The times must ascend, but {now} follows {before}.')
            parts += _crossings(previous, level, reference, before, now, threshold)
            parts.append(_noise(level.shape, before, now, noise_rate, rng))
        previous, before = level, now
    if not parts:
        return Events(*(np.zeros(0, kind) for kind in (np.uint16, np.uint16, np.int64, np.uint8)))
    x, y, t, polarity = (np.concatenate(values) for values in zip(*parts, strict=True))
    order = np.argsort(t, kind='stable')
    return Events(x[order].astype(np.uint16), y[order].astype(np.uint16),
                  t[order].astype(np.int64), polarity[order].astype(np.uint8))


def _crossings(previous: np.ndarray, level: np.ndarray, reference: np.ndarray, before: float,
               now: float, threshold: float) -> list[tuple]:
    """All crossings between two pictures; the reference moves along."""
    change = level - reference
    # A whole number of thresholds up to rounding counts as whole.
    steps = np.floor(np.abs(change) / threshold + 1e-9).astype(int)
    y, x = np.nonzero(steps)
    count, sign = steps[y, x], np.sign(change[y, x])
    start, slope = previous[y, x], level[y, x] - previous[y, x]
    found = []
    for step in range(1, count.max(initial=0) + 1):
        fires = count >= step
        crossed = reference[y, x] + sign * threshold * step - start
        with np.errstate(divide='ignore', invalid='ignore'):
            share = np.nan_to_num(crossed / slope).clip(0, 1)[fires]
        found.append((x[fires], y[fires], before + share * (now - before), sign[fires] > 0))
    reference[y, x] += sign * threshold * count
    return found


def _noise(shape: tuple[int, int], before: float, now: float, rate: float,
           rng: np.random.Generator) -> tuple:
    count = rng.poisson(rate * shape[0] * shape[1] * (now - before) * 1e-6)
    return (rng.integers(0, shape[1], count), rng.integers(0, shape[0], count),
            rng.uniform(before, now, count), rng.random(count) < 0.5)
