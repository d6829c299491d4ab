"""mmengine's training loops, such that a resumed run equals an uninterrupted one."""
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mmengine.dist import get_rank
from mmengine.logging import print_log
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from eca_mm.datasets.pipelines import pipelines
from eca_mm.datasets.repeatable import SeededBatchSampler, is_seeded, seed_generators

from .data_position import DataPosition, continue_from, set_seed
from .schedules import follow_new_length

# Keeps the random numbers of the network apart from those of the samples.
_NETWORK = 2**32


class _Repeatable:
    """What the two loops share."""

    _position: DataPosition | None
    runner: Any
    dataloader: Any
    iter: int
    _iter: int

    def run_iter(self, *args: Any) -> None:
        """Train on one batch, with random numbers that depend on the iteration only."""
        seed_generators(self.runner.seed, get_rank(), self.iter, _NETWORK)
        super().run_iter(*args)  # type: ignore[misc]

    def _saved_position(self) -> DataPosition | None:
        """Where the checkpoint's run was; None if its loop has not recorded that."""
        saved = DataPosition.load(self.runner.message_hub)
        return saved.at(self.iter) if saved and saved.iter <= self.iter else None

    def _prepare(self, dataloader: dict | DataLoader) -> None:
        """Say what of the data will not be repeated, before anything is loaded."""
        if not isinstance(dataloader, dict):
            return
        absent = []
        if not is_seeded(dataloader.get('batch_sampler')):
            absent.append("no batch_sampler=dict(type='SeededBatchSampler')")
        absent += [f'no SeedSample in {where}' for where, steps in pipelines(
            dataloader, 'train_dataloader') if not any(map(is_seeded, steps))]
        if absent:
            self._say(f'train_dataloader has {" and ".join(absent)}: a run that is resumed will '
                      'not augment its images as one that was never stopped.')

    def _set_seed(self) -> None:
        set_seed(self.dataloader, self.runner.seed,
                 self.runner._randomness_cfg.get('diff_rank_seed', False))

    @staticmethod
    def _say(sentence: str, level: int = logging.WARNING) -> None:
        print_log(sentence, logger='current', level=level)


@LOOPS.register_module()
class RepeatableEpochLoop(_Repeatable, EpochBasedTrainLoop):
    """EpochBasedTrainLoop that can be resumed bit for bit, in the middle of an epoch too.

    Needs :class:`~eca_mm.datasets.repeatable.SeededBatchSampler` and
    :class:`~eca_mm.datasets.repeatable.SeedSample` in the data loader, and warns where they
    are absent. If the batch size or the number of processes has changed, the run continues with
    the next image or, where that is not possible, restarts the epoch.

    Args:
        runner (Runner): The runner.
        dataloader (dict | DataLoader): The training data.
        **kwargs: All arguments of mmengine's loop.
    """

    def __init__(self, runner: Runner, dataloader: dict | DataLoader, **kwargs: Any) -> None:
        self._prepare(dataloader)
        super().__init__(runner, dataloader, **kwargs)
        self._position = None

    def run(self) -> nn.Module:
        """Train."""
        self._set_seed()
        if self._iter:
            self._resume_data()
        return super().run()

    def _resume_data(self) -> None:
        length = len(self.dataloader)
        now = DataPosition.begin(self.dataloader, self._epoch * length, self._epoch)
        # Without a note the run is taken to have had these batches from its beginning.
        saved = self._saved_position() or now.at(max(self._iter, now.iter))
        if saved.epoch > self._epoch:
            # The last iteration of an epoch that has not been ended yet.
            position: DataPosition | None = replace(now, left=0)
        else:
            # A note of an earlier epoch is of no use.
            saved = saved if saved.epoch == self._epoch else now
            position = continue_from(self.dataloader, saved)
        changed = not saved.is_like(now)
        if changed or position is None:
            where = ('' if position is None or not saved.samples
                     else f' after the {saved.samples} images that it has had')
            self._say(
                (f'The checkpoint was saved with {saved.batches} in a batch, this run has '
                 f'{now.batches}' if changed else 'The order of the images within an epoch cannot '
                 'be continued by this sampler') + f': epoch {self._epoch + 1} '
                + ('restarts' if position is None else f'continues{where}' if where else 'follows')
                + (', and the learning rate is still that of the checkpoint.' if changed else '.'))
        self._position = position or now
        iteration = (self._epoch + 1) * length - (position or now).left
        if iteration != self._iter:
            self._iter = iteration
            follow_new_length(self.runner, self._epoch, iteration, length)
            # It counts the iterations that gradients are accumulated over.
            self.runner.optim_wrapper.initialize_count_status(
                self.runner.model, iteration, self.max_iters)

    def run_epoch(self) -> None:
        """Train one epoch, or the rest of it."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        length = len(self.dataloader)
        position = self._position or DataPosition.begin(self.dataloader, self._iter, self._epoch)
        self._position = None
        first = length - position.left
        DataPosition(position.batch_size, position.world_size, length, self._iter, self._epoch,
                     position.samples, position.left).save(self.runner.message_hub)
        if position.left:
            for index, batch in enumerate(self.dataloader, first):
                self.run_iter(index, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1


class _NotStarted:
    """A data loader that is only inspected: its workers are not started."""

    def __init__(self, loader: DataLoader) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator:
        return iter(())


@LOOPS.register_module()
class RepeatableIterLoop(_Repeatable, IterBasedTrainLoop):
    """IterBasedTrainLoop that can be resumed bit for bit.

    mmengine's own loads the images of all iterations before once more; this one goes past them
    in the sampler, if that is mmengine's InfiniteSampler or DefaultSampler in a
    :class:`~eca_mm.datasets.repeatable.SeededBatchSampler`.

    Args:
        runner (Runner): The runner.
        dataloader (dict | DataLoader): As in :class:`RepeatableEpochLoop`.
        **kwargs: All arguments of mmengine's loop.
    """

    def __init__(self, runner: Runner, dataloader: dict | DataLoader, **kwargs: Any) -> None:
        self._prepare(dataloader)
        if isinstance(dataloader, dict):
            dataloader = runner.build_dataloader(
                dataloader, seed=runner.seed,
                diff_rank_seed=runner._randomness_cfg.get('diff_rank_seed', False))
        # The parent starts the workers at once, but where to begin is known when it runs.
        super().__init__(runner, _NotStarted(dataloader), **kwargs)
        self.dataloader = dataloader
        # onedl-mmengine then stays at the first images.
        self._stays = bool(kwargs.get('fast_forward_on_resume'))

    def run(self) -> nn.Module:
        """Train."""
        self._set_seed()
        sampler = getattr(self.dataloader.batch_sampler, 'sampler', None)
        position = DataPosition.begin(self.dataloader, self._iter)
        skipped = self._iter and not self._stays and isinstance(
            self.dataloader.batch_sampler, SeededBatchSampler)
        if skipped:
            position = self._resume_data(sampler)
        iterator = type(self.dataloader_iterator)(self.dataloader)
        self.dataloader_iterator = FastForwardIterator(
            iterator, self._iter, sampler, position.epoch) if skipped else iterator
        position.save(self.runner.message_hub)
        return super().run()

    def _resume_data(self, sampler: Any) -> DataPosition:
        now = DataPosition.begin(self.dataloader)
        saved = self._saved_position() or now.at(self._iter)
        if hasattr(sampler, 'set_epoch'):
            sampler.set_epoch(saved.epoch)
        position = continue_from(self.dataloader, saved)
        if not saved.is_like(now):
            self._say(f'The checkpoint was saved with {saved.batches} in a batch, this run has '
                      f'{now.batches}: '
                      + ('the images restart' if position is None else 'the images continue where '
                         'they were') + ', and the learning rate is still that of the checkpoint.')
        elif position is None:
            self._say('This sampler cannot continue the order of the images: they restart.')
        return position or DataPosition.begin(self.dataloader, self._iter, saved.epoch)


class FastForwardIterator:
    """Replaces mmengine's loading of past batches: its first items are empty.

    Args:
        iterator (Iterator): mmengine's endless iterator, which begins after these items.
        count (int): How many they are.
        sampler (Sampler): Where the iterator's indices come from.
        epoch (int): The sampler's epoch after these items.
    """

    def __init__(self, iterator: Any, count: int, sampler: Any, epoch: int) -> None:
        self.iterator, self.count, self.sampler, self.epoch = iterator, count, sampler, epoch
        iterator._epoch = epoch

    def __next__(self) -> Any:
        if self.count:
            self.count -= 1
            # A hook has set it to 0 since, and without workers the sampler has not begun yet.
            if hasattr(self.sampler, 'set_epoch'):
                self.sampler.set_epoch(self.epoch)
            return None
        return next(self.iterator)

    def skip_iter(self, count: int) -> None:
        """Go past items; what onedl-mmengine calls in place of ``next``."""
        for _ in range(count):
            next(self)
