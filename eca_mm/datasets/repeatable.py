"""Random augmentation that depends on the place in the run, not on what was drawn before.

With mmengine alone the random numbers of a data worker start anew with the process, so a resumed
run augments its images differently from one that was never stopped.
"""
import random

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.dist import get_rank
from mmengine.registry import DATA_SAMPLERS, TRANSFORMS
from torch.utils.data import BatchSampler, Sampler


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
    """An index of a data set that knows when it was drawn.

    Args:
        index (int): The index.
        key (tuple[int, ...]): The draw's place in the run.
    """

    def __new__(cls, index: int, key: tuple):
        """Make an int."""
        draw = super().__new__(cls, index)
        draw.key = key
        return draw

    def __reduce__(self):
        """Travel to a worker process."""
        return SeededIndex, (int(self), self.key)

    def __mod__(self, other: int):
        """Stay a draw in RepeatDataset."""
        return SeededIndex(int(self) % other, self.key)

    def __sub__(self, other: int):
        """Stay a draw in ConcatDataset."""
        return SeededIndex(int(self) - other, self.key)


@DATA_SAMPLERS.register_module()
class SeededBatchSampler(BatchSampler):
    """A batch sampler whose indices are :class:`SeededIndex` s, and that can start in mid-epoch.

    Setting ``skip`` leaves out so many batches, once, at the beginning: they are not loaded.

    Args:
        sampler (Sampler): Gives single indices.
        batch_size (int): Samples in a batch of one process.
        seed (int): The run's seed.
        batch_sampler (dict, optional): Config of the batch sampler that forms the batches.
            Consecutive indices form them when None.
        drop_last (bool): Whether an incomplete last batch is left out.
    """

    def __init__(self, sampler: Sampler, batch_size: int, seed: int,
                 batch_sampler: dict | None = None, drop_last: bool = False) -> None:
        super().__init__(sampler, batch_size, drop_last)
        self.seed, self.skip = seed, 0
        self.batches = BatchSampler(sampler, batch_size, drop_last)
        if batch_sampler is not None:
            self.batches = DATA_SAMPLERS.build(
                batch_sampler, default_args={'sampler': sampler, 'batch_size': batch_size})

    def __iter__(self):
        """Give lists of draws."""
        skip, self.skip = self.skip, 0
        epoch = getattr(self.sampler, 'epoch', 0)
        for position, batch in enumerate(self.batches):
            if position >= skip:
                yield [SeededIndex(index, (self.seed, get_rank(), epoch, position, slot))
                       for slot, index in enumerate(batch)]

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.batches)


@TRANSFORMS.register_module()
class SeedSample(BaseTransform):
    """Seed the random generators for one sample by its :class:`SeededIndex`, if it has one."""

    def transform(self, results: dict) -> dict:
        """Seed.

        Args:
            results (dict): The sample; ``sample_idx`` may be a draw and becomes a plain int.

        Returns:
            dict: The sample.
        """
        index = results.get('sample_idx')
        if isinstance(index, SeededIndex):
            seed_generators(*index.key)
            results['sample_idx'] = int(index)
        return results


def make_repeatable(dataloader: dict, seed: int) -> dict:
    """Change the config of a training data loader so that its samples can be repeated.

    Args:
        dataloader (dict): As mmengine takes it.
        seed (int): The run's seed.

    Returns:
        dict: A changed copy.
    """
    changed = _seeded(dataloader)
    changed['batch_sampler'] = {
        'type': SeededBatchSampler, 'batch_sampler': changed.get('batch_sampler'), 'seed': seed,
        'drop_last': changed.pop('drop_last', False)}
    return changed


def _seeded(node):
    """Copy a config with the seeding before every pipeline in it."""
    if isinstance(node, dict):
        copy = {key: _seeded(value) for key, value in node.items()}
        if isinstance(copy.get('pipeline'), list | tuple):
            copy['pipeline'] = [{'type': SeedSample}, *copy['pipeline']]
        return copy
    if type(node) in (list, tuple):
        return type(node)(map(_seeded, node))
    return node
