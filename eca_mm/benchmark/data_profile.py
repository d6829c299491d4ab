"""Whether the model waits for data: loading speed against the time of a training step."""
import itertools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from mmengine.device import get_device
from mmengine.runner import Runner
from rich.table import Table

from eca_mm.utils.errors import UserError

# Enough to even out large and small images, or what half a minute allows.
BATCHES, SECONDS = 30, 30.0
# The first batches come from queues that are still filling.
WARM_UP = 3
# Of an iteration; less is noise.
STARVED = 0.05


@dataclass(frozen=True)
class Loading:
    """Data loading with a number of worker processes.

    Attributes:
        workers (int): Worker processes; with 0 the training process loads, and the model waits.
        seconds (float): Time between two batches when nothing else is done.
    """

    workers: int
    seconds: float

    def iteration(self, step: float) -> float:
        """Seconds of a whole iteration with a training step of so many seconds."""
        return self.seconds + step if self.workers == 0 else max(self.seconds, step)

    def waiting(self, step: float) -> float:
        """Share of an iteration in which the model waits for data, from 0 to 1."""
        return 1 - step / self.iteration(step)


@dataclass(frozen=True)
class DataProfile:
    """What was measured.

    Attributes:
        batch_size (int): Images per batch.
        device (str): Where the step ran.
        step (float): Seconds of a training step: forward, backward and optimizer.
        step_cpu (float): CPU seconds of it, over all cores; other programs do not change them.
        iterations (int): Iterations that the config's whole training has.
        loadings (tuple[Loading, ...]): One for each number of workers.
    """

    batch_size: int
    device: str
    step: float
    step_cpu: float
    iterations: int
    loadings: tuple[Loading, ...]

    @property
    def best(self) -> Loading:
        """The fewest workers with which the model hardly waits, or waits least."""
        enough = [loading for loading in self.loadings if loading.waiting(self.step) < STARVED]
        return enough[0] if enough else min(
            self.loadings, key=lambda loading: loading.iteration(self.step))

    def advice(self) -> str:
        """How many workers to use, and where the step ran on a CPU what a GPU would wait.

        Returns:
            str: A line for each.
        """
        lines = [f'num_workers={self.best.workers} is ' + (
            'enough.' if self.best.waiting(self.step) < STARVED else
            'the best of them, but the model still waits for data.')]
        ahead = [loading for loading in self.loadings if loading.workers]
        if self.device == 'cpu' and ahead:
            fastest = min(ahead, key=lambda loading: loading.seconds)
            speed = self.batch_size / fastest.seconds
            lines.append(
                f'No GPU was measured. With num_workers={fastest.workers} it would get at most '
                f'{speed:.1f} images/s: one that trains {2 * speed:.1f} images/s would wait half '
                f'of the time, one that trains fewer than {speed:.1f} not at all.')
        return '\n'.join(lines)

    def figures(self) -> dict:
        """All figures, of JSON's types; times in seconds, and the whole training in hours."""
        return dict(
            batch_size=self.batch_size, device=self.device, step_seconds=self.step,
            step_cpu_seconds=self.step_cpu,
            step_images_per_second=self.batch_size / self.step, iterations=self.iterations,
            best_num_workers=self.best.workers, loading=[dict(
                num_workers=loading.workers, seconds=loading.seconds,
                images_per_second=self.batch_size / loading.seconds,
                iteration_seconds=loading.iteration(self.step),
                waiting=loading.waiting(self.step),
                hours=loading.iteration(self.step) * self.iterations / 3600)
                for loading in self.loadings])

    def table(self) -> Table:
        """The figures as a table, for rich's console."""
        table = Table(
            'workers', 'loading', 'images/s', 'step', 'images/s', 'model waits', 'training',
            title=f'batches of {self.batch_size} images, a step on {self.device}')
        for column in table.columns:
            column.justify = 'right'
        for loading in self.loadings:
            table.add_row(
                str(loading.workers), f'{1e3 * loading.seconds:.0f} ms',
                f'{self.batch_size / loading.seconds:.1f}', f'{1e3 * self.step:.0f} ms',
                f'{self.batch_size / self.step:.1f}', f'{loading.waiting(self.step):.0%}',
                f'{loading.iteration(self.step) * self.iterations / 3600:.2f} h')
        return table


def worker_choices(cores: int | None = None) -> list[int]:
    """Numbers of workers to try: none, and powers of two up to the number of cores.

    Args:
        cores (int, optional): Number of cores. Defaults to what this process may use.

    Returns:
        list[int]: In ascending order.
    """
    # Linux knows which cores a container or a job may use; macOS only how many there are.
    allowed = getattr(os, 'sched_getaffinity', lambda _: range(os.cpu_count() or 1))
    cores = cores or len(allowed(0))
    return [0] + [2**power for power in range(cores.bit_length()) if 2**power <= cores]


def profile_data(runner: Runner, workers: list[int]) -> DataProfile:
    """Measure data loading and a training step, each alone.

    Nothing is learned: the learning rate is zero, and weights that ``init_cfg`` names are not
    read.

    Args:
        runner (Runner): Runner of a config that can be trained, in one process; not yet trained.
        workers (list[int]): Numbers of worker processes to try.

    Returns:
        DataProfile: The measurement.

    Raises:
        UserError: If the run is distributed.
    """
    if runner.distributed:
        raise UserError('--profile-data measures one process; leave --launcher out.')
    loop, own = runner.train_loop, dict(runner.cfg.train_dataloader)
    # Endless, so that a few images are enough to measure with.
    settings = {**own, 'dataset': loop.dataloader.dataset, 'sampler': dict(type='InfiniteSampler')}
    samples: list = []
    loadings: list[Loading] = []
    for number in sorted(set(workers)):
        ahead = {} if number else {'prefetch_factor': None}
        loader = runner.build_dataloader(
            {**settings, **ahead, 'num_workers': number}, seed=runner.seed)
        batches = iter(loader)
        samples = samples or list(itertools.islice(batches, WARM_UP))
        seconds, _ = _measure(partial(next, batches), WARM_UP)
        loadings.append(Loading(number, seconds))
        # Its workers stop here, before the next are measured.
        del batches, loader
    step = _measure(_steps(runner, samples), 1)
    return DataProfile(own['batch_size'], get_device(), *step, loop.max_iters, tuple(loadings))


def _steps(runner: Runner, samples: list) -> Callable[[], None]:
    model = runner.model.train()
    optimizer = runner.build_optim_wrapper(runner.optim_wrapper)
    for group in optimizer.param_groups:
        group['lr'] = 0.0
    batches: Iterator = itertools.cycle(samples)

    def step() -> None:
        model.train_step(next(batches), optimizer)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    return step


def _measure(work: Callable[[], object], warm_up: int) -> tuple[float, float]:
    """Mean time of a piece of work after a warm-up, and mean CPU time of this process."""
    for _ in range(warm_up):
        work()
    count, start, cpu = 0, time.perf_counter(), time.process_time()
    while count < BATCHES and time.perf_counter() - start < SECONDS:
        work()
        count += 1
    return (time.perf_counter() - start) / count, (time.process_time() - cpu) / count
