"""How the starts of a training follow each other."""
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from mmengine.config import Config


@dataclass(eq=False)
class Start:
    """One start of a training.

    Attributes:
        name (str): Its folder, named by the time.
        config (Config): Its config.
        training (list[dict]): Its records of training by iteration; at least one.
        validations (list[dict]): Its records of validation.
        resumed (bool): Whether it was told to resume.
    """

    name: str
    config: Config
    training: list[dict]
    validations: list[dict]
    resumed: bool

    @property
    def first(self) -> int:
        """The first iteration that it has logged."""
        return self.training[0]['step']

    @property
    def last(self) -> int:
        """The last iteration that it has logged."""
        return self.training[-1]['step']

    @property
    def interval(self) -> int:
        """The largest number of iterations from one of its records to the next."""
        steps = [record['step'] for record in self.training]
        return max((b - a for a, b in itertools.pairwise(steps)), default=0)


# Starts from the first to the last, each with the iteration before which its records count.
Branch = list[tuple[Start, float]]


def last_branch(starts: Sequence[Start]) -> tuple[Branch, list[str]]:
    """Find what led to the last start of a run.

    Starts are taken in the order of their names, but a resumed one not before a start that has
    reached its checkpoint: a clock may have been set back.

    Args:
        starts (Sequence[Start]): All starts, ordered by name; at least one.

    Returns:
        tuple[Branch, list[str]]: The starts that count, and sentences on those that do not.
    """
    waiting, branches, notes = list(starts), list[Branch](), list[str]()
    while waiting:
        for start in waiting:
            parent = next((branch for branch in reversed(branches) if _reaches(branch, start)), [])
            if parent or not start.resumed:
                break
        else:
            start = min(waiting, key=lambda one: one.first)
            parent = branches[-1] if branches else []
            if parent:
                notes.append(f'nothing is logged between iterations {parent[-1][0].last} and '
                             f'{start.first}, where the start of {start.name} resumed.')
        waiting.remove(start)
        kept = [(one, min(end, start.first)) for one, end in parent] if start.resumed else []
        branches.append([*kept, (start, float('inf'))])
    branch, order = branches[-1], [branch[-1][0] for branch in branches]
    (root, _), (latest, _) = branch[0], branch[-1]
    begin = order.index(root)
    if begin and not root.resumed:
        notes.append(f'the start of {root.name} was not resumed; what was logged before it is left '
                     'out.')
    for start in order[begin:]:
        if start.last > latest.last:
            notes.append(f'the start of {start.name} had gone on to iteration {start.last}; the '
                         f'last start, {latest.name}, resumed from iteration {latest.first} or '
                         'before and replaces it from there.')
    return branch, notes


def records_of(branch: Branch) -> tuple[list[dict], list[dict]]:
    """The records that count.

    Args:
        branch (Branch): What :func:`last_branch` has found.

    Returns:
        tuple[list[dict], list[dict]]: Those of training and those of validations.
    """
    training, validations = [], []
    for start, end in branch:
        training += [record for record in start.training if record['step'] < end]
        validations += [record for record in start.validations if record['step'] < end]
    return training, validations


def _reaches(branch: Branch, start: Start) -> bool:
    """Whether a checkpoint that a start may have resumed from lies on a branch."""
    last = branch[-1][0]
    # The records on both sides of a checkpoint lie up to two intervals apart.
    interval = max(last.interval, start.interval) or max(last.first, 1)
    return last.last + 2 * interval >= start.first
