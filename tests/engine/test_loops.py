"""A resumed run ends like an uninterrupted one, wherever the checkpoint was saved."""
import pickle
import random

import numpy as np
import pytest
import torch

from eca_mm.compat import load_checkpoint_file
from eca_mm.datasets.repeatable import SeededBatchSampler, SeededIndex
from eca_mm.engine import CheckedRunner
from eca_mm.engine.data_position import DataPosition, continue_from
from tests.support.marks import few_by_default
from tests.support.points import ENDLESS, EPOCHS, ITERS, LOADED, SHUFFLED, config, flat


@pytest.mark.parametrize(('loop', 'sampler', 'workers'), [
    (EPOCHS, SHUFFLED, 2), (ITERS, ENDLESS, 0),
    *few_by_default([(EPOCHS, SHUFFLED, 0), (ITERS, SHUFFLED, 0), (ITERS, ENDLESS, 2),
                      (ITERS, SHUFFLED, 2)])])
def test_a_resumed_run_is_the_same_run(tmp_path, monkeypatch, loop, sampler, workers):
    # mmengine sleeps two seconds between the epochs of an endless loop.
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda seconds: None)
    # Without a seed in the config: mmengine chooses one.
    CheckedRunner.from_cfg(config(tmp_path / 'whole', loop, sampler, workers)).train()
    expected = load_checkpoint_file(tmp_path / 'whole/iter_12.pth')
    for stop in (1, 4, 6):
        # Whatever the second process draws before it resumes must not matter.
        torch.manual_seed(stop), np.random.seed(stop), random.seed(stop)
        LOADED.clear()
        CheckedRunner.from_cfg(config(
            tmp_path / str(stop), loop, sampler, workers, resume=True,
            load_from=str(tmp_path / f'whole/iter_{stop}.pth'))).train()
        found = load_checkpoint_file(tmp_path / f'{stop}/iter_12.pth')
        for part in ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers'):
            assert torch.equal(*map(flat, (found[part], expected[part]))), (part, stop)
        if not workers:
            # Nothing is loaded only to be skipped.
            assert len(LOADED) <= 3 * (12 - stop)


def test_another_seed_is_another_run(tmp_path, monkeypatch):
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda seconds: None)
    weights = []
    for seed in (0, 0, 1):
        folder = tmp_path / str(len(weights))
        CheckedRunner.from_cfg(config(folder, ITERS, ENDLESS, randomness={'seed': seed})).train()
        weights.append(flat(load_checkpoint_file(folder / 'iter_12.pth')['state_dict']))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_augmentation_does_not_depend_on_the_number_of_workers(tmp_path):
    weights = []
    for workers in (0, 1, 2):
        folder = tmp_path / str(workers)
        CheckedRunner.from_cfg(
            config(folder, EPOCHS, SHUFFLED, workers, randomness={'seed': 0})).train()
        weights.append(flat(load_checkpoint_file(folder / 'iter_12.pth')['state_dict']))
    assert torch.equal(weights[0], weights[1]) and torch.equal(weights[0], weights[2])


@pytest.mark.parametrize('wrapper', [
    lambda data: {'type': 'RepeatDataset', 'times': 2, 'dataset': data},
    lambda data: {'type': 'ConcatDataset', 'datasets': [data, data]},
])
@pytest.mark.slow
def test_data_sets_in_data_sets(tmp_path, wrapper):
    weights = []
    for workers in (0, 2):
        folder = tmp_path / str(workers)
        cfg = config(folder, {**EPOCHS, 'max_epochs': 1}, SHUFFLED, workers,
                     randomness={'seed': 0})
        cfg.train_dataloader.dataset = wrapper(cfg.train_dataloader.dataset)
        CheckedRunner.from_cfg(cfg).train()
        weights.append(flat(load_checkpoint_file(folder / 'iter_7.pth')['state_dict']))
    assert torch.equal(*weights)


def test_a_draw_keeps_its_place_in_data_sets_in_data_sets():
    draw = SeededIndex(17, (3, 0, 1))
    for inner, index in ((draw % 10, 7), (draw - 10, 7), (pickle.loads(pickle.dumps(draw)), 17)):
        assert inner == index and inner.key == draw.key


def test_own_batches_and_incomplete_ones(tmp_path):
    cfg = config(tmp_path, EPOCHS, SHUFFLED, drop_last=True)
    cfg.train_dataloader.drop_last = True
    loader = CheckedRunner.from_cfg(cfg).train_dataloader
    assert len(loader) == len(list(loader)) == 3
    cfg = config(tmp_path, EPOCHS, {'type': 'DefaultSampler', 'shuffle': False})
    cfg.train_dataloader.batch_sampler.batch_sampler = {'type': 'mmdet.AspectRatioBatchSampler'}
    loader = CheckedRunner.from_cfg(cfg).train_dataloader
    assert isinstance(loader.batch_sampler, SeededBatchSampler)
    assert [list(map(int, batch)) for batch in loader.batch_sampler] == [
        [0, 2, 4], [1, 3, 5], [6, 8, 7], [9]]
    # No two draws of a run share their random numbers.
    keys = [draw.key for batch in loader.batch_sampler for draw in batch]
    loader.batch_sampler.sampler.set_epoch(1)
    keys += [draw.key for batch in loader.batch_sampler for draw in batch]
    assert len(set(keys)) == 20
    # Only whole batches can be gone past, and only where there were as many.
    for samples, left in ((4, 3), (3, 2)):
        assert continue_from(loader, DataPosition(3, 1, 4, 1, 0, samples, left)) is None
    assert continue_from(loader, DataPosition(3, 1, 4, 3, 0, 9, 1)).left == 1
    (rest, ) = loader.batch_sampler
    assert isinstance(rest[0], SeededIndex) and rest == [9] and rest[0].key[-2:] == (3, 0)
