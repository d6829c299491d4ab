"""How channel weights differ between classes, and within them."""
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Specificity:
    """How class-specific the channel weights of one block are.

    Attributes:
        between (float): Variance of the classes' means, less what the variance within them alone
            would give; mean over the channels. Slightly negative where classes do not differ.
        within (float): Variance within the classes, mean over the channels.
        ratio (float): ``between / within``; 0 if the weights do not tell classes apart, nan if
            they are the same for all images.
    """

    between: float
    within: float
    ratio: float


class ClassStatistics:
    """Means and variances per class, from batches.

    It holds sums in double precision and not the values, so that it takes the same memory for any
    number of images.

    Args:
        num_classes (int): Number of classes K.
        channels (int): Number of channels C.
    """

    def __init__(self, num_classes: int, channels: int) -> None:
        self.counts = np.zeros(num_classes, dtype=np.int64)
        self._origin: np.ndarray | None = None
        self._sums = np.zeros((num_classes, channels))
        self._squares = np.zeros((num_classes, channels))

    def add(self, labels: np.ndarray, values: np.ndarray) -> None:
        """Take in a batch.

        Args:
            labels (np.ndarray): Classes of the images, integers of shape (N,).
            values (np.ndarray): Channel weights of shape (N, C).
        """
        values = np.asarray(values, dtype=np.float64)
        if self._origin is None:
            # Sums of squares about a typical value keep their digits.
            self._origin = values.mean(0)
        centred = values - self._origin
        np.add.at(self.counts, labels, 1)
        np.add.at(self._sums, labels, centred)
        np.add.at(self._squares, labels, centred**2)

    def means(self) -> np.ndarray:
        """Mean of every class, of shape (K, C); nan for a class without images."""
        means = np.full_like(self._sums, np.nan)
        seen = self.counts > 0
        means[seen] = np.asarray(self._origin) + self._sums[seen] / self.counts[seen, None]
        return means

    def overall(self) -> np.ndarray:
        """Mean over the classes' means, of shape (C,), as the paper's "all"."""
        return np.nanmean(self.means(), axis=0)

    def variances(self) -> tuple[np.ndarray, np.ndarray]:
        """Split the variance of every channel.

        The model is a one-way analysis of variance with random effects: an image's weight is its
        class's plus noise, and the noise of a class's mean is taken off the variance of the means.

        Returns:
            tuple[np.ndarray, np.ndarray]: Variance between and within classes, both of shape
            (C,); nan if there are fewer than two classes, or no class with two images.
        """
        seen = self.counts > 0
        n, sums = self.counts[seen, None], self._sums[seen]
        classes, images = len(n), int(n.sum())
        if classes < 2 or images == classes:
            nan = np.full(self._sums.shape[1], np.nan)
            return nan, nan.copy()
        within = np.maximum((self._squares[seen] - sums**2 / n).sum(0), 0) / (images - classes)
        mean_square = (n * (sums / n - sums.sum(0) / images)**2).sum(0) / (classes - 1)
        # The number of images a class, for classes of different sizes.
        size = (images - (n**2).sum() / images) / (classes - 1)
        return (mean_square - within) / size, within

    def specificity(self) -> Specificity:
        """How class-specific the weights are, over all channels."""
        between, within = (float(variance.mean()) for variance in self.variances())
        return Specificity(between, within, between / within if within > 0 else float('nan'))
