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


def study_figures(results: Mapping[str, Mapping[int, float]]) -> dict[str, dict]:
    """Mean, deviation and paired differences of a study.

    Args:
        results (Mapping[str, Mapping[int, float]]): By network and seed. The first network is the
            one that the others are compared with, on the seeds that both have.

    Returns:
        dict[str, dict]: By network ``seeds``, ``results`` in their order, ``mean``, ``deviation``
        (of a single run; None with one seed) and, of all but the first, ``difference``
        (:class:`Difference`; None with fewer than two seeds in common).

    Raises:
        UserError: If a network has no result.
    """
    baseline = next(iter(results.values()))
    figures: dict[str, dict] = {}
    for name, by_seed in results.items():
        if not by_seed:
            raise UserError(f'{name} has no result; train it with one seed at least.')
        values = list(by_seed.values())
        figures[name] = dict(
            seeds=list(by_seed), results=values, mean=float(np.mean(values)),
            deviation=float(np.std(values, ddof=1)) if len(values) > 1 else None)
        if by_seed is not baseline:
            both = [seed for seed in by_seed if seed in baseline]
            figures[name]['difference'] = paired_difference(
                [by_seed[seed] for seed in both], [baseline[seed] for seed in both]
            ) if len(both) > 1 else None
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
          '-' if row['deviation'] is None else f'{row["deviation"]:.2f}',
          str(row.get('difference') or '-'))
         for name, row in figures.items()], 'llrrl', compact=True)
