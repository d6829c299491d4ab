"""Random augmentation that depends on the place in the run, not on what was drawn before.

With mmengine alone the random numbers of a data worker restart with the process, so a resumed
run augments its images differently from one that was never stopped.
"""
import itertools
import random
from collections.abc import Iterator

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.dist import get_rank
from mmengine.registry import DATA_SAMPLERS, TRANSFORMS
from torch.utils.data import BatchSampler, Sampler

from eca_mm.compat.data_workers import send_errors_of_worker

from .pipelines import rebuild


def seed_generators(*key: int) -> None:
    """Seed the global generators of Python, NumPy and PyTorch (CPU, and GPUs in use).

    Args:
        *key (int): Numbers from 0 on; other keys give other, unrelated random numbers.
    """
    state = np.random.SeedSequence(key).generate_state(3).tolist()
    random.seed(state[0])
    np.random.seed(state[1])
    # torch.manual_seed would format a stack trace each time on a machine without GPU.
    torch.default_generator.manual_seed(state[2])
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(state[2])


class SeededIndex(int):
    """An index of a data set with its position in the run, which seeds its sample.

    Args:
        index (int): The index.
        key (tuple[int, ...]): The draw's place in the run.
    """

    key: tuple

    def __new__(cls, index: int, key: tuple) -> 'SeededIndex':
        """Make an int."""
        draw = super().__new__(cls, index)
        draw.key = key
        return draw

    def __reduce__(self) -> tuple:
        """Pickle for a worker process."""
        return SeededIndex, (int(self), self.key)

    def __mod__(self, other: int) -> 'SeededIndex':
        """Keep the position in RepeatDataset."""
        return SeededIndex(int(self) % other, self.key)

    def __sub__(self, other: int) -> 'SeededIndex':
        """Keep the position in ConcatDataset."""
        return SeededIndex(int(self) - other, self.key)


@DATA_SAMPLERS.register_module()
class SeededBatchSampler(BatchSampler):
    """A batch sampler whose indices are :class:`SeededIndex` s, and that can start in mid-epoch.

    Setting ``skip`` leaves out so many batches, or ``skip_samples`` so many samples of this
    process, once, at the beginning: they are not loaded.

    Args:
        sampler (Sampler): Gives single indices.
        batch_size (int): Samples in a batch of one process.
        seed (int, optional): The run's seed. The sampler's when None.
        batch_sampler (dict, optional): Config of the batch sampler that forms the batches.
            Consecutive indices form them when None.
        drop_last (bool): Whether an incomplete last batch is left out.
    """

    def __init__(self, sampler: Sampler, batch_size: int, seed: int | None = None,
                 batch_sampler: dict | None = None, drop_last: bool = False) -> None:
        super().__init__(sampler, batch_size, drop_last)
        self.seed, self.skip, self.skip_samples = seed, 0, 0
        self.batches = None
        if batch_sampler is not None:
            self.batches = DATA_SAMPLERS.build(
                batch_sampler, default_args={'sampler': sampler, 'batch_size': batch_size})

    @property
    def is_plain(self) -> bool:
        """Whether a batch is what the sampler gives next, in its order."""
        return self.batches is None

    def __iter__(self) -> Iterator[list[SeededIndex]]:
        """Yield batches of seeded indices."""
        skip, skip_samples = self.skip, self.skip_samples
        self.skip = self.skip_samples = 0
        seed = getattr(self.sampler, 'seed', 0) if self.seed is None else self.seed
        epoch, rank = getattr(self.sampler, 'epoch', 0), get_rank()
        batches, first = self.batches, 0
        if batches is None:
            rest = itertools.islice(self.sampler, skip_samples, None)
            batches = BatchSampler(rest, self.batch_size, self.drop_last)
            # A whole number of batches keeps their numbers, and so the seeds of those that follow.
            first = skip_samples // self.batch_size
        for position, batch in enumerate(batches, first):
            if position >= skip:
                yield [SeededIndex(index, (seed, rank, epoch, position, slot))
                       for slot, index in enumerate(batch)]

    def __len__(self) -> int:
        """Batches in an epoch."""
        return super().__len__() if self.batches is None else len(self.batches)


@TRANSFORMS.register_module()
class SeedSample(BaseTransform):
    """Seed the random generators for one sample by its :class:`SeededIndex`, if it has one.

    In a data worker it also has batches reported that cannot be handed over, under any runner.
    """

    def transform(self, results: dict) -> dict:
        """Seed.

        Args:
            results (dict): The sample; ``sample_idx`` may be a draw and becomes a plain int.

        Returns:
            dict: The sample.
        """
        send_errors_of_worker()
        index = results.get('sample_idx')
        if isinstance(index, SeededIndex):
            seed_generators(*index.key)
            results['sample_idx'] = int(index)
        return results


def make_repeatable(dataloader: dict, seed: int | None = None) -> dict:
    """Change the config of a training data loader so that its samples can be repeated.

    Args:
        dataloader (dict): As mmengine takes it.
        seed (int, optional): The run's seed. The sampler's when None.

    Returns:
        dict: A changed copy: ``SeedSample`` before every pipeline, and a ``SeededBatchSampler``
        around the batch sampler. What is there already is not added again.
    """
    changed = rebuild(dataloader, _with_seeding)
    batches = changed.get('batch_sampler')
    if not is_seeded(batches):
        changed['batch_sampler'] = {
            'type': SeededBatchSampler, 'batch_sampler': batches, 'seed': seed,
            'drop_last': changed.pop('drop_last', False)}
    return changed


def is_seeded(part: object) -> bool:
    """Whether a config's part is the ``SeededBatchSampler`` or ``SeedSample`` of this module."""
    kind = part.get('type') if isinstance(part, dict) else None
    return kind in (SeededBatchSampler, SeedSample) or (
        isinstance(kind, str)
        and kind.rpartition('.')[2] in (SeededBatchSampler.__name__, SeedSample.__name__))


def _with_seeding(node: dict) -> dict:
    steps = node.get('pipeline')
    if isinstance(steps, list | tuple) and not any(map(is_seeded, steps)):
        node['pipeline'] = [{'type': SeedSample}, *steps]
    return node
