"""mmengine's training loops, such that a resumed run repeats what it would have been."""
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.dist import get_rank
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch.utils.data import DataLoader

from eca_mm.datasets.repeatable import SeededBatchSampler, make_repeatable, seed_generators

# Keeps the random numbers of the network apart from those of the samples.
_NETWORK = 2**32


class _Repeatable:
    """What the two loops share."""

    def run_iter(self, *args) -> None:
        """Train on one batch, with random numbers that depend on the iteration only."""
        seed_generators(self.runner.seed, get_rank(), self.iter, _NETWORK)
        super().run_iter(*args)


@LOOPS.register_module()
class RepeatableEpochLoop(_Repeatable, EpochBasedTrainLoop):
    """EpochBasedTrainLoop that can be resumed bit for bit, in the middle of an epoch too.

    Args:
        runner (Runner): The runner.
        dataloader (dict | DataLoader): The training data. A loader that is built already is used
            as it is: the random numbers of its samples are not repeated.
        **kwargs: All arguments of mmengine's loop.
    """

    def __init__(self, runner, dataloader, **kwargs) -> None:
        super().__init__(runner, _build(runner, dataloader), **kwargs)

    def run_epoch(self) -> None:
        """Train one epoch, or the rest of it."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        batches = self.dataloader.batch_sampler
        first = self.iter - self.epoch * len(self.dataloader)
        # With another batch size or number of processes than before, the epoch starts anew.
        if isinstance(batches, SeededBatchSampler) and 0 <= first <= len(self.dataloader):
            batches.skip = first
        else:
            first = 0
        for index, batch in enumerate(self.dataloader, first):
            self.run_iter(index, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1


@LOOPS.register_module()
class RepeatableIterLoop(_Repeatable, IterBasedTrainLoop):
    """IterBasedTrainLoop that can be resumed bit for bit.

    mmengine's own loads the images of all iterations before once more; this one goes past them
    in the sampler, if that is mmengine's InfiniteSampler or DefaultSampler.

    Args:
        runner (Runner): The runner.
        dataloader (dict | DataLoader): As in :class:`RepeatableEpochLoop`.
        done (int): Iterations behind the checkpoint that will be resumed from.
        **kwargs: All arguments of mmengine's loop.
    """

    def __init__(self, runner, dataloader, done: int = 0, **kwargs) -> None:
        loader = _build(runner, dataloader)
        sampler = getattr(loader.batch_sampler, 'sampler', None)
        if kwargs.get('fast_forward_on_resume'):
            # onedl-mmengine then stays at the first images.
            done = 0
        epoch, skip = 0, done
        if type(sampler) is DefaultSampler:
            epoch, skip = divmod(done, len(loader))
            sampler.set_epoch(epoch)
        self._done = 0
        if isinstance(loader.batch_sampler, SeededBatchSampler) and type(sampler) in (
                DefaultSampler, InfiniteSampler):
            # Before the parent starts the workers, which fetch the first batches at once.
            loader.batch_sampler.skip, self._done = skip, done
        super().__init__(runner, loader, **kwargs)
        if self._done:
            self.dataloader_iterator = FastForwardIterator(
                self.dataloader_iterator, done, sampler, epoch)

    def run(self):
        """Train."""
        if self._done != self.iter and self._done:
            raise RuntimeError(f'the data are those after iteration {self._done}, but the '
                               f'checkpoint is that of iteration {self.iter}')
        return super().run()


class FastForwardIterator:
    """Stands where mmengine wants to go by loading: its first items are empty.

    Args:
        iterator (Iterator): mmengine's endless iterator, which begins after these items.
        count (int): How many they are.
        sampler (Sampler): Where the iterator's indices come from.
        epoch (int): The sampler's epoch after these items.
    """

    def __init__(self, iterator, count: int, sampler, epoch: int) -> None:
        self.iterator, self.count, self.sampler, self.epoch = iterator, count, sampler, epoch
        iterator._epoch = epoch

    def __next__(self):
        if self.count:
            self.count -= 1
            # A hook has set it to 0 since, and without workers the sampler has not begun yet.
            self.sampler.set_epoch(self.epoch)
            return None
        return next(self.iterator)

    def skip_iter(self, count: int) -> None:
        """Go past items; what onedl-mmengine calls in place of ``next``."""
        for _ in range(count):
            next(self)


def _build(runner, dataloader: dict | DataLoader) -> DataLoader:
    if not isinstance(dataloader, dict):
        return dataloader
    return runner.build_dataloader(
        make_repeatable(dataloader, runner.seed), seed=runner.seed,
        diff_rank_seed=runner._randomness_cfg.get('diff_rank_seed', False))
