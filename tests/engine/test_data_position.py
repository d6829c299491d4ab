"""Where a run stands, in images."""
import sys
from dataclasses import replace

import pytest
from mmengine.dataset import DefaultSampler
from mmengine.logging import MessageHub
from torch.utils.data import DataLoader

from eca_mm.datasets.repeatable import SeededBatchSampler
from eca_mm.engine import data_position
from eca_mm.engine.data_position import DataPosition, continue_from, set_seed

# Ten images in batches of two, five of which are an epoch.
START = DataPosition(batch_size=2, world_size=1, length=5, left=5)


@pytest.mark.parametrize(('iteration', 'epoch', 'samples', 'left'), [
    (0, 0, 0, 5), (4, 0, 8, 1), (5, 1, 0, 5), (7, 1, 4, 3), (10, 2, 0, 5)])
def test_later_iterations(iteration, epoch, samples, left):
    assert START.at(iteration) == replace(
        START, iter=iteration, epoch=epoch, samples=samples, left=left)
    # From the middle of an epoch too.
    assert START.at(1).at(iteration + 1) == START.at(iteration + 1)


@pytest.mark.parametrize('change', [
    {'iter': -1}, {'samples': 2.5}, {'epoch': True}, {'left': None}, {'length': 0},
    {'batch_size': 0}, {'other': 1}])
def test_records_that_are_not_usable(change):
    hub = MessageHub('data_position')
    assert DataPosition.load(hub) is None
    START.save(hub)
    assert DataPosition.load(hub) == START
    hub.update_info('data_position', {**hub.get_info('data_position'), **change})
    assert DataPosition.load(hub) is None


@pytest.mark.parametrize('change', [{'batch_size': 1}, {'world_size': 2}, {'length': sys.maxsize}])
def test_other_batches(change):
    assert START.is_like(START.at(7)) and not START.is_like(replace(START, **change))


def loader(batch_size, drop_last=False):
    images = list(range(10))
    batches = SeededBatchSampler(DefaultSampler(images, shuffle=False), batch_size, 0,
                                 drop_last=drop_last)
    return DataLoader(images, batch_sampler=batches)


@pytest.mark.parametrize(('size', 'drop_last', 'rest'), [
    (3, False, [3, 2]), (3, True, [3]), (2, False, [2, 2, 1]), (10, True, [])])
def test_the_batches_that_are_left(size, drop_last, rest):
    data = loader(size, drop_last)
    position = continue_from(data, DataPosition(5, 1, 2, iter=1, samples=5, left=1))
    assert position.left == len(rest) and [len(batch) for batch in data] == rest
    # Of fewer images than it has had, nothing is left.
    assert continue_from(data, DataPosition(5, 1, 4, iter=3, samples=15, left=1)).left == 0


@pytest.mark.parametrize('differs_by_rank', [True, False])
def test_seeds_of_the_order_and_of_the_augmentation(differs_by_rank):
    data = loader(2)
    data.batch_sampler.sampler.seed = 3
    set_seed(data, 7, differs_by_rank)
    assert data.batch_sampler.seed == 7
    assert data.batch_sampler.sampler.seed == (3 if differs_by_rank else 7)


def test_images_that_cannot_be_shared_equally(monkeypatch):
    had = DataPosition(1, 1, 10, iter=3, samples=3, left=7)
    assert continue_from(loader(2), had).left == 4
    monkeypatch.setattr(data_position, 'get_world_size', lambda: 2)
    assert continue_from(loader(1), had) is None
