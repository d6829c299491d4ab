"""Runs of several processes: resumed by another number of them, and different in each."""
import json
import random

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, TRANSFORMS

from eca_mm.engine import CheckedRunner
from eca_mm.utils.errors import UserError
from tests.support.points import EPOCHS, ITERS, SHUFFLED, config
from tests.support.processes import run_in_processes

DRAWN: dict[str, list] = {'images': [], 'augmentation': [], 'network': []}
ONCE = {**EPOCHS, 'max_epochs': 1}


@TRANSFORMS.register_module()
class NoteDraws(BaseTransform):
    """Notes an image and what its augmentation would draw."""

    def transform(self, results):
        DRAWN['images'].append(results['value'])
        DRAWN['augmentation'].append([np.random.rand(), random.random(), torch.rand(1).item()])
        return {'x': torch.full((2, ), results['value'])}


@HOOKS.register_module()
class NoteNetwork(Hook):
    """Notes what the network would draw in an iteration."""

    def before_train_iter(self, runner, **kwargs):
        DRAWN['network'].append([np.random.rand(), random.random(), torch.rand(1).item()])


def train(rank, folder, name, world, size, loop, load_from=None):
    """Train and note what this process has drawn."""
    for drawn in DRAWN.values():
        drawn.clear()
    cfg = config(f'{folder}/{name}', loop, SHUFFLED, randomness={'seed': 0}, load_from=load_from,
                 resume=load_from is not None)
    cfg.custom_hooks = [{'type': 'NoteNetwork'}]
    cfg.train_dataloader.batch_size = size
    cfg.train_dataloader.dataset.pipeline[1] = {'type': 'NoteDraws'}
    cfg.launcher, cfg.log_level = 'pytorch' if world > 1 else 'none', 'WARNING'
    CheckedRunner.from_cfg(cfg).train()
    with open(f'{folder}/{name}_{rank}.json', 'w') as stream:
        json.dump(DRAWN, stream)


@pytest.fixture
def run(tmp_path):
    def run(name, world, size, loop=ONCE, load_from=None):
        arguments = str(tmp_path), name, world, size, loop, load_from and str(tmp_path / load_from)
        if world == 1:
            train(0, *arguments)
        else:
            assert run_in_processes(world, train, *arguments) == [0] * world
        log = ''.join(path.read_text() for path in (tmp_path / name).glob('*/*.log'))
        return [json.loads((tmp_path / f'{name}_{rank}.json').read_text())
                for rank in range(world)], log

    return run


def images(drawn, count=None):
    return [value for part in drawn for value in part['images'][:count]]


def test_each_image_once_whatever_number_of_processes_goes_on(run):
    # Five images for each of two processes: 4 of 10 in the first iteration.
    two, _ = run('two', 2, 2)
    assert sorted(images(two)) == list(range(10))
    rest, log = run('two_to_one', 1, 2, load_from='two/iter_1.pth')
    assert sorted(images(two, 2) + images(rest)) == list(range(10)), log
    assert 'goes on' in log or 'continues' in log
    # All processes must draw differently, in augmentation and in the network.
    for part in ('augmentation', 'network'):
        first, second = (sum(each[part], []) for each in two)
        assert not set(first) & set(second), part


@HOOKS.register_module()
class SpoilLoss(Hook):
    """Makes the loss of the second process invalid in its second iteration."""

    priority = 'HIGHEST'

    def after_train_iter(self, runner, outputs=None, **kwargs):
        if runner.iter == 1 and runner.rank == 1:
            outputs['loss'] = torch.tensor(float('nan'))


def train_until_it_is_stopped(rank, folder):
    """Train on a spoilt loss and note the error."""
    cfg = config(f'{folder}/run', ONCE, SHUFFLED, randomness={'seed': 0}, launcher='pytorch')
    cfg.custom_hooks = [{'type': 'SpoilLoss'}, {'type': 'StopOnInvalidLossHook'}]
    with pytest.raises(UserError) as caught:
        CheckedRunner.from_cfg(cfg).train()
    with open(f'{folder}/{rank}.txt', 'w') as stream:
        stream.write(str(caught.value))


def test_all_processes_stop_where_one_has_to(tmp_path):
    assert run_in_processes(2, train_until_it_is_stopped, str(tmp_path)) == [0, 0]
    first, second = (tmp_path / f'{rank}.txt' for rank in range(2))
    assert 'became invalid in iteration 2' in first.read_text()
    assert 'loss nan' in second.read_text()


@pytest.mark.slow
def test_one_process_becomes_two(run):
    one, _ = run('one', 1, 2)
    rest, log = run('one_to_two', 2, 2, load_from='one/iter_2.pth')
    assert sorted(images(one, 4) + images(rest)) == list(range(10)), log
    # Three images cannot be shared equally: one sentence, and the whole epoch.
    run('odd', 1, 1)
    rest, log = run('odd_to_two', 2, 1, load_from='odd/iter_3.pth')
    assert sorted(images(rest)) == list(range(10))
    line, = [line for line in log.splitlines() if '1 images in a batch' in line]
    assert 'epoch 1' in line and 'anew' in line or 'restarts' in line


@pytest.mark.slow
def test_iterations_of_another_number_of_processes(run):
    loop = {**ITERS, 'max_iters': 5}
    two, _ = run('two', 2, 1, loop)
    rest, log = run('two_to_one', 1, 2, loop, load_from='two/iter_2.pth')
    # Three more iterations of 2 images complete the first pass over the ten.
    assert sorted(images(two, 2) + images(rest)) == list(range(10)), log
