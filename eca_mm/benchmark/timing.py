"""Timing several things fairly: turn by turn, warmed up, medians with their spread."""
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from torch.utils.benchmark import Measurement


@dataclass(frozen=True)
class Timing:
    """How long one thing took.

    Attributes:
        measurement (Measurement): PyTorch's record of one time per round, in their order.
    """

    measurement: 'Measurement'

    @classmethod
    def of(cls, seconds: Sequence[float], name: str = '') -> 'Timing':
        """Record times that were measured.

        Args:
            seconds (Sequence[float]): One time per round.
            name (str): What was timed.

        Returns:
            Timing: The record.
        """
        # Not at the top: where nvcc is installed it warns that there is no GPU.
        from torch.utils.benchmark import Measurement
        from torch.utils.benchmark.utils.common import TaskSpec

        task = TaskSpec(stmt=name, setup='', num_threads=torch.get_num_threads())
        return cls(Measurement(1, list(seconds), task))

    @property
    def seconds(self) -> tuple[float, ...]:
        """One time per round, in the order of the rounds."""
        return tuple(self.measurement.raw_times)

    @property
    def median(self) -> float:
        """The median, in seconds."""
        return float(self.measurement.median)

    @property
    def best(self) -> float:
        """The shortest, in seconds: the least disturbed round."""
        return min(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and the third quartile, in seconds."""
        low, high = np.percentile(self.seconds, (25, 75))
        return float(low), float(high)

    def speed_beside(self, other: 'Timing') -> tuple[float, float, float]:
        """Speed as a fraction of the other's, compared round by round.

        What slows the machine down for a while hits both, and cancels.

        Args:
            other (Timing): Another timing of the same run.

        Returns:
            tuple[float, float, float]: Median, first and third quartile over the rounds.
        """
        ratios = np.divide(other.seconds, self.seconds)
        median, low, high = np.percentile(ratios, (50, 25, 75))
        return float(median), float(low), float(high)


def synchronize(device: torch.device) -> None:
    """Wait until a device has finished its work."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def time_in_turns(steps: Mapping[str, Callable[[], object]],
                  device: torch.device,
                  rounds: int = 9,
                  min_time: float = 3.,
                  warmup: int = 2,
                  progress: Callable[[Iterable, int], Iterable] = lambda turns, total: turns,
                  clock: Callable[[], float] = time.perf_counter) -> dict[str, Timing]:
    """Time several steps, each once per round, in an order that changes from round to round.

    Args:
        steps (dict[str, Callable]): What to call.
        device (torch.device): What they run on.
        rounds (int): Least number of rounds. Defaults to 9.
        min_time (float): There are more rounds where the fastest step, as the warm-up showed it,
            would otherwise be timed for less than so many seconds in all. Defaults to 3.
        warmup (int): Calls of every step before the first round. Defaults to 2.
        progress (Callable): Given the rounds and how many they will be, shows how far they are.
        clock (Callable): Returns the time in seconds.

    Returns:
        dict[str, Timing]: A timing for each step; all have the same number of rounds.
    """
    shortest = float('inf')
    for step in steps.values():
        last = min_time
        for _ in range(warmup):
            last = _time(step, device, clock)
        shortest = min(shortest, last)
    rounds = max(rounds, int(np.ceil(min_time / shortest)))
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    order, shuffler = list(steps), random.Random(0)
    for _ in progress(range(rounds), rounds):
        shuffler.shuffle(order)
        for name in order:
            seconds[name].append(_time(steps[name], device, clock))
    return {name: Timing.of(each, name) for name, each in seconds.items()}


def _time(step: Callable[[], object], device: torch.device,
          clock: Callable[[], float]) -> float:
    synchronize(device)
    start = clock()
    step()
    synchronize(device)
    return clock() - start
