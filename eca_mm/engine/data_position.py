"""Where in its data a run stands, also after the batch size or number of processes has changed.

mmengine's checkpoints count iterations. How many images these were is known only together with
the batch size and the number of processes, so a loop notes those in the message hub, which every
checkpoint holds and which resuming restores.
"""
import math
import sys
from dataclasses import asdict, dataclass, replace
from typing import Any

from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.dist import get_world_size
from mmengine.logging import MessageHub
from torch.utils.data import DataLoader

from eca_mm.datasets.repeatable import SeededBatchSampler

_KEY = 'data_position'


@dataclass(frozen=True)
class DataPosition:
    """A point of a run, and the batches that it continues with from there.

    Attributes:
        batch_size (int): Images in a batch of one process.
        world_size (int): Number of processes.
        length (int): Batches in an epoch.
        iter (int): Iterations done at this point.
        epoch (int): Passes over the data done.
        samples (int): Images of the pass that all processes together have had.
        left (int): Batches left of the pass.
    """

    batch_size: int
    world_size: int
    length: int
    iter: int = 0
    epoch: int = 0
    samples: int = 0
    left: int = 0

    @classmethod
    def begin(cls, loader: DataLoader, iter: int = 0, epoch: int = 0) -> 'DataPosition':
        """The beginning of a pass.

        Args:
            loader (DataLoader): Gives the batches.
            iter (int): Iterations done.
            epoch (int): Passes done.

        Returns:
            DataPosition: The position.
        """
        endless = isinstance(_sampler(loader), InfiniteSampler)
        # A custom loader may have neither.
        size = getattr(loader.batch_sampler, 'batch_size', None) or loader.batch_size or 1
        length = sys.maxsize if endless else len(loader)
        return cls(size, get_world_size(), length, iter, epoch, 0, length)

    @classmethod
    def load(cls, hub: MessageHub) -> 'DataPosition | None':
        """Read what a run recorded; None if there is no record or it is not usable."""
        try:
            position = cls(**hub.runtime_info[_KEY])
        except (KeyError, TypeError):
            return None
        usable = all(type(value) is int and value >= 0 for value in asdict(position).values())
        return position if usable and position.length and position.batch_size else None

    def save(self, hub: MessageHub) -> None:
        """Note the position, so that the next checkpoints hold it."""
        hub.update_info(_KEY, asdict(self))

    def at(self, iter: int) -> 'DataPosition':
        """Where the run was at a later iteration.

        Args:
            iter (int): Iterations done then.

        Returns:
            DataPosition: The position.
        """
        done = iter - self.iter
        if done < self.left:
            samples = self.samples + done * self.total
            return replace(self, iter=iter, samples=samples, left=self.left - done)
        passes, done = divmod(done - self.left, self.length)
        return replace(self, iter=iter, epoch=self.epoch + 1 + passes, samples=done * self.total,
                       left=self.length - done)

    @property
    def total(self) -> int:
        """Images in a batch of all processes."""
        return self.batch_size * self.world_size

    @property
    def batches(self) -> str:
        """The batches, in words."""
        processes = 'process' if self.world_size == 1 else 'processes'
        return f'{self.world_size} {processes} x {self.batch_size} images'

    def is_like(self, other: 'DataPosition') -> bool:
        """Whether another position continues with the same batches."""
        return (self.batch_size, self.world_size, self.length) == (
            other.batch_size, other.world_size, other.length)


def continue_from(loader: DataLoader, saved: DataPosition) -> DataPosition | None:
    """Have a loader begin with the image that comes next.

    With mmengine's samplers all processes together take the images in one order, whatever their
    number and batch size are, so this is exact if the images that were had can be shared equally.

    Args:
        loader (DataLoader): Not iterated yet, its sampler in the right epoch.
        saved (DataPosition): Where the run was.

    Returns:
        DataPosition | None: The same point with the loader's batches; None, with the loader as
        it was, if it cannot begin there.
    """
    now = DataPosition.begin(loader, saved.iter, saved.epoch)
    if not saved.samples:
        return now
    batches, sampler = loader.batch_sampler, _sampler(loader)
    if not isinstance(batches, SeededBatchSampler):
        return None
    # Samples that a batch size did not divide are counted, not batches.
    whole = saved.samples % saved.total == 0 and saved.samples // saved.total + saved.left
    if saved.is_like(now) and (saved.length == sys.maxsize or whole == now.length) and (
            not batches.is_plain or type(sampler) not in (DefaultSampler, InfiniteSampler)):
        batches.skip = saved.samples // saved.total
        return replace(now, samples=saved.samples, left=saved.left)
    if not batches.is_plain or saved.samples % now.world_size or type(sampler) not in (
            DefaultSampler, InfiniteSampler):
        return None
    batches.skip_samples = saved.samples // now.world_size
    if type(sampler) is InfiniteSampler:
        return replace(now, samples=saved.samples)
    # Images that pad the last batches differ with the number of processes.
    left = max(sampler.num_samples - batches.skip_samples, 0) / batches.batch_size
    return replace(now, samples=saved.samples,
                   left=math.floor(left) if batches.drop_last else math.ceil(left))


def set_seed(loader: DataLoader, seed: int, differs_by_rank: bool) -> None:
    """Give a run's seed to a loader that was built before the seed was known.

    A stock Runner restores the seed of a resumed run after it has built the loader.

    Args:
        loader (DataLoader): Not iterated yet.
        seed (int): The run's seed.
        differs_by_rank (bool): Whether samplers have their own seeds.
    """
    if isinstance(loader.batch_sampler, SeededBatchSampler):
        loader.batch_sampler.seed = seed
    sampler = _sampler(loader)
    if not differs_by_rank and type(sampler) in (DefaultSampler, InfiniteSampler):
        sampler.seed = seed


def _sampler(loader: DataLoader) -> Any:
    return getattr(loader.batch_sampler, 'sampler', None) or loader.sampler
