"""Events as four arrays."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Events:
    """Events of one camera in the order of time.

    Attributes:
        x (np.ndarray): Columns of shape (N,), whole pixels or, after rectification, fractions.
        y (np.ndarray): Rows of shape (N,).
        t (np.ndarray): Times in microseconds, integers of shape (N,).
        polarity (np.ndarray): Of shape (N,): above zero where it became brighter.
    """

    x: np.ndarray
    y: np.ndarray
    t: np.ndarray
    polarity: np.ndarray

    def __post_init__(self) -> None:
        """Check the shapes.

        Raises:
            ValueError: If the arrays are not one-dimensional or differ in length.
        """
        shapes = [np.shape(value) for value in (self.x, self.y, self.t, self.polarity)]
        if len(set(shapes)) > 1 or len(shapes[0]) != 1:
            raise ValueError(f'x, y, t and polarity have the shapes {shapes}, but must be '
                             'one-dimensional and of the same length.')

    def __len__(self) -> int:
        return len(self.t)

    def select(self, index: slice | np.ndarray) -> Events:
        """Take some of the events.

        Args:
            index (slice | np.ndarray): A slice, a mask of shape (N,) or indices.

        Returns:
            Events: The chosen ones.
        """
        return Events(self.x[index], self.y[index], self.t[index], self.polarity[index])
