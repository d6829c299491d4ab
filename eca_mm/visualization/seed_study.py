"""Networks that were trained with the same seeds each, and how much they differ."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from eca_mm.utils.errors import UserError
from eca_mm.utils.terminal import markdown_table


@dataclass(frozen=True)
class Difference:
    """How much better one network is than another with the same seeds.

    Attributes:
        mean (float): Mean of the differences, one per seed.
        low (float): Lower end of the mean's confidence interval (Student's t).
        high (float): Upper end.
    """

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        """The mean with its interval."""
        return f'{self.mean:+.2f} ({self.low:+.2f} to {self.high:+.2f})'


def paired_difference(results: Sequence[float], baseline: Sequence[float],
                      confidence: float = .95) -> Difference:
    """Compare two networks seed by seed.

    Args:
        results (Sequence[float]): One network's results, by seed.
        baseline (Sequence[float]): The other's, with the same seeds in the same order.
        confidence (float): Level of the interval. Defaults to 0.95.

    Returns:
        Difference: Of the results to the baseline.

    Raises:
        UserError: If there are not equally many, or fewer than two.
    """
    if len(results) != len(baseline) or len(results) < 2:
        raise UserError(f'{len(results)} results cannot be compared with {len(baseline)}: both '
                        'networks need the same seeds, two or more.')
    differences = np.subtract(results, baseline)
    mean = float(differences.mean())
    margin = stats.t.ppf((1 + confidence) / 2, len(differences) - 1) * stats.sem(differences)
    return Difference(mean, mean - float(margin), mean + float(margin))


def study_figures(results: Mapping[str, Sequence[float]]) -> dict[str, dict]:
    """Mean, deviation and paired differences of a study.

    Args:
        results (Mapping[str, Sequence[float]]): By network its results, by seed; the first network
            is the one that the others are compared with.

    Returns:
        dict[str, dict]: By network ``results``, ``mean``, ``deviation`` (of a single run) and, of
        all but the first, ``difference`` (:class:`Difference`).

    Raises:
        UserError: As :func:`paired_difference`.
    """
    first = next(iter(results.values()))
    figures: dict[str, dict] = {}
    for name, values in results.items():
        difference = paired_difference(values, first)
        figures[name] = dict(results=list(values), mean=float(np.mean(values)),
                             deviation=float(np.std(values, ddof=1)))
        if values is not first:
            figures[name]['difference'] = difference
    return figures


def study_table(figures: Mapping[str, dict]) -> str:
    """The figures as a table in Markdown.

    Args:
        figures (Mapping[str, dict]): As :func:`study_figures` gives them.

    Returns:
        str: One row per network.
    """
    first = next(iter(figures))
    return markdown_table(
        ('network', 'each seed', 'mean', 'deviation', f'difference to {first} (95% interval)'),
        [(name, ', '.join(f'{value:.2f}' for value in row['results']), f'{row["mean"]:.2f}',
          f'{row["deviation"]:.2f}', str(row.get('difference', '-')))
         for name, row in figures.items()], 'llrrl', compact=True)
