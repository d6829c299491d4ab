"""Is there a local periodicity along the channels?

The first version of the paper (arXiv 1910.03151v1) observes one in the channel-wise averages and
takes it as a reason for local cross-channel interaction. Here it is measured: by the
autocorrelation along the channel index, against the same averages in random order.
"""
from dataclasses import dataclass

import numpy as np
from scipy.signal import find_peaks
from scipy.stats import permutation_test


@dataclass(frozen=True)
class Periodicity:
    """Result of the autocorrelation of one descriptor.

    Attributes:
        autocorrelation (np.ndarray): At lags 0 to C // 2, of shape (C // 2 + 1,).
        band (np.ndarray): 2.5 % and 97.5 % quantile of the same at every lag for channels in
            random order, of shape (2, C // 2 + 1).
        neighbours (float): Correlation of channels next to each other, at lag 1.
        neighbours_p (float): Share of random orders with a correlation at least as large in size.
        period (int | None): Lag of the highest local maximum from 2 on, or of the first that is
            nearly as high (80 %), since multiples of a period are periods too; None without any.
        peak (float): The highest local maximum; nan without any.
        peak_p (float): Share of random orders whose highest local maximum, at whatever lag, is at
            least as high; 1 without any.
    """

    autocorrelation: np.ndarray
    band: np.ndarray
    neighbours: float
    neighbours_p: float
    period: int | None
    peak: float
    peak_p: float


def autocorrelation(y: np.ndarray) -> np.ndarray:
    """Autocorrelation of descriptors along the channels.

    Args:
        y (np.ndarray): Channel averages of shape (..., C).

    Returns:
        np.ndarray: At lags 0 to C // 2, of shape (..., C // 2 + 1): the sum of the products of
        two channels' deviations that far apart, over the sum of squares; 1 at lag 0, and all zero
        if the channels do not vary. Far lags have fewer products and count less.
    """
    y = np.asarray(y, dtype=np.float64)
    channels = y.shape[-1]
    lags = channels // 2 + 1
    centred = y - y.mean(-1, keepdims=True)
    # Twice as long with zeros, so that the ends do not meet.
    spectrum = np.fft.rfft(centred, 2 * channels)
    products = np.fft.irfft(np.abs(spectrum)**2, 2 * channels)[..., :lags]
    squares = (centred**2).sum(-1, keepdims=True)
    flat = squares <= 1e-24 * (y**2).sum(-1, keepdims=True)
    return np.where(flat, 0, products / np.where(flat, 1, squares))


def measure_periodicity(y: np.ndarray, shuffles: int = 999, seed: int = 0) -> Periodicity:
    """Look for a period along the channels.

    Args:
        y (np.ndarray): Channel averages of one image, of shape (C,).
        shuffles (int): Number of random orders to compare with. Defaults to 999.
        seed (int): Of their random numbers. Defaults to 0.

    Returns:
        Periodicity: The measurement.

    Raises:
        ValueError: If there are fewer than 8 channels.
    """
    if len(y) < 8:
        raise ValueError(f'{len(y)} channels are too few for a period; at least 8 are needed.')
    def statistics(sample: np.ndarray, axis: int) -> np.ndarray:
        r = autocorrelation(np.moveaxis(sample, axis, -1))
        return np.concatenate([r, np.abs(r[..., 1:2]), _highest(r)[..., None]], axis=-1)

    # All at once, so that the same random orders serve for all; the larger, the less likely.
    test = permutation_test((y, ), statistics, permutation_type='pairings', vectorized=True,
                            n_resamples=shuffles, alternative='greater', random_state=seed)
    measured, random = test.statistic[:-2], test.null_distribution[:, :-2]
    peaks = find_peaks(measured[1:])[0] + 1
    heights = measured[peaks]
    found = len(peaks) > 0
    peak = heights.max() if found else float('nan')
    return Periodicity(
        autocorrelation=measured,
        band=np.quantile(random, (.025, .975), axis=0),
        neighbours=float(measured[1]),
        neighbours_p=float(test.pvalue[-2]),
        # Multiples of a period are periods, too: the first that is nearly as high.
        period=int(peaks[heights >= min(.8 * peak, peak)][0]) if found else None,
        peak=float(peak),
        peak_p=float(test.pvalue[-1]) if found else 1.)


def _highest(r: np.ndarray) -> np.ndarray:
    """Height of the highest local maximum at lags from 2 on, of every row; -inf without any."""
    rows = r.reshape(-1, r.shape[-1])
    highest = [max(row[find_peaks(row[1:])[0] + 1], default=-np.inf) for row in rows]
    return np.array(highest).reshape(r.shape[:-1])
