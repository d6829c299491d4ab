"""Resuming with other batches, other settings, or with nothing to resume."""
import json
import os
import time

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from eca_mm.checkpoints.latest import latest_checkpoint
from eca_mm.compat import load_checkpoint_file
from eca_mm.engine import CheckedRunner
from eca_mm.utils.errors import UserError
from eca_mm.version import __version__
from tests.support.marks import few_by_default
from tests.support.points import ENDLESS, EPOCHS, ITERS, LOADED, SHUFFLED, config

SEED = {'seed': 3}


def loaded(folder, loop, sampler, batch_size, **more):
    """Train and return the values of the images in the order in which they were loaded."""
    LOADED.clear()
    cfg = config(folder, loop, sampler, randomness=SEED, **more)
    cfg.log_level = 'WARNING'
    cfg.train_dataloader.batch_size = batch_size
    runner = CheckedRunner.from_cfg(cfg)
    runner.train()
    return runner, list(LOADED)


@pytest.fixture
def whole(tmp_path):
    """A run with batches of 2 images, 5 iterations in each of 3 epochs, saved in each iteration."""
    return loaded(tmp_path / 'whole', EPOCHS, SHUFFLED, 2)[1]


@pytest.mark.parametrize(('stop', 'size', 'iterations'), few_by_default([
    (7, 4, 7), (6, 1, 28), (8, 3, 8), (5, 5, 4), (1, 10, 3)], 0, 2))
def test_another_batch_size_continues_with_the_next_image(tmp_path, whole, said, stop, size,
                                                        iterations):
    runner, rest = loaded(
        tmp_path / 'more', EPOCHS, SHUFFLED, size, resume=True,
        load_from=str(tmp_path / f'whole/iter_{stop}.pth'))
    assert rest == whole[2 * stop:]
    # As many as a run with these batches has: epochs, iterations and schedules agree.
    length = -(-10 // size)
    assert (runner.epoch, runner.iter) == (3, 3 * length)
    assert runner.optim_wrapper._inner_count == runner.iter
    sentence, = [line for line in said if '2 images in a batch' in line]
    assert f'1 process x {size} images' in sentence and 'learning rate' in sentence


def test_schedules_follow_the_new_iterations(tmp_path, whole):
    by_epoch = [{'type': 'CosineAnnealingLR', 'T_max': 3, 'convert_to_iter_based': True},
                {'type': 'MultiStepLR', 'milestones': [2], 'gamma': 0.5}]
    rates = {}
    for name, size, more in (
            ('start', 2, {}),
            ('expected', 5, {}),
            ('more', 5, {'resume': True, 'load_from': str(tmp_path / 'start/iter_5.pth')})):
        runner, _ = loaded(tmp_path / name, EPOCHS, SHUFFLED, size,
                           **{**more, 'param_scheduler': by_epoch})
        rates[name] = runner.optim_wrapper.get_lr()['lr'][0]
        path = tmp_path / name / 'iter_4.pth'
        rates[f'{name} 4'] = load_checkpoint_file(path)['optimizer']['param_groups'][0]['lr']
    assert rates['more'] == pytest.approx(rates['expected'])
    assert rates['more 4'] == pytest.approx(rates['expected 4'])
    assert rates['start 4'] != pytest.approx(rates['expected 4'])


def test_batches_of_another_sampler_restart_the_epoch(tmp_path, said):
    grouped = {'batch_sampler': {'type': 'SeededBatchSampler', 'batch_sampler': {
        'type': 'mmdet.AspectRatioBatchSampler'}}}

    def run(name, size, **more):
        cfg = config(tmp_path / name, EPOCHS, {'type': 'DefaultSampler', 'shuffle': False},
                     randomness=SEED, **more)
        cfg.log_level = 'WARNING'
        cfg.train_dataloader.update(grouped, batch_size=size)
        runner = CheckedRunner.from_cfg(cfg)
        runner.train()
        return runner

    run('whole', 2)
    runner = run('more', 1, resume=True, load_from=str(tmp_path / 'whole/iter_2.pth'))
    assert (runner.epoch, runner.iter) == (3, 30)
    assert any('epoch 1 restarts' in line for line in said)


@pytest.mark.parametrize('sampler', [ENDLESS, SHUFFLED])
def test_iterations_continue_with_the_next_image(tmp_path, monkeypatch, said, sampler):
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda seconds: None)
    _, whole = loaded(tmp_path / 'whole', ITERS, sampler, 2)
    runner, rest = loaded(tmp_path / 'more', ITERS, sampler, 1, resume=True,
                          load_from=str(tmp_path / 'whole/iter_7.pth'))
    assert runner.iter == 12 and rest == whole[14:19]
    assert any('1 process x 1 images' in line for line in said)
    # And once more, with the first size again.
    _, last = loaded(tmp_path / 'last', ITERS, sampler, 2, resume=True,
                     load_from=str(tmp_path / 'more/iter_9.pth'))
    assert last[:4] == whole[16:20]


def test_settings_that_resuming_does_not_take_are_named(tmp_path, whole, said):
    more = {'resume': True, 'load_from': str(tmp_path / 'whole/iter_5.pth')}
    loaded(tmp_path / 'same', EPOCHS, SHUFFLED, 2, **more)
    assert not [line for line in said if 'are not used' in line]
    runner, _ = loaded(
        tmp_path / 'more', EPOCHS, SHUFFLED, 2, **more,
        optim_wrapper={'optimizer': {'type': 'Adam', 'lr': 0.5, 'weight_decay': 0.1}},
        param_scheduler=[{'type': 'CosineAnnealingLR', 'T_max': 3, 'by_epoch': False}])
    assert runner.param_schedulers[0].T_max == 10
    sentence, = [line for line in said if 'are not used' in line]
    assert 'optimizer.lr=0.5 (the checkpoint has 0.01)' in sentence
    assert 'weight_decay=0.1' in sentence and 'load_from=' in sentence


@pytest.mark.parametrize(('note', 'first'), [
    # Of a run that went on under another loop: of an earlier epoch, and of later iterations.
    (dict(batch_size=1, length=10, left=10), 20), (dict(iter=99, epoch=19), 28)])
def test_notes_of_another_run_are_not_used(tmp_path, whole, note, first):
    checkpoint = load_checkpoint_file(tmp_path / 'whole/iter_14.pth')
    checkpoint['message_hub']['runtime_info']['data_position'].update(
        {'iter': 0, 'epoch': 0, 'samples': 0, **note})
    torch.save(checkpoint, tmp_path / 'noted.pth')
    _, rest = loaded(tmp_path / 'more', EPOCHS, SHUFFLED, 2, resume=True,
                     load_from=str(tmp_path / 'noted.pth'))
    assert rest == whole[first:]


@pytest.mark.parametrize('loop', [EPOCHS, ITERS])
def test_data_that_cannot_be_repeated_are_named_at_the_start(tmp_path, said, loop):
    cfg = config(tmp_path, loop, SHUFFLED, randomness=SEED)
    CheckedRunner.from_cfg(cfg).train_loop  # noqa: B018
    assert not [line for line in said if 'augment' in line]
    cfg.train_dataloader.pop('batch_sampler')
    cfg.train_dataloader.dataset.pipeline = [{'type': 'Shake'}]
    CheckedRunner.from_cfg(cfg).train_loop  # noqa: B018
    sentence, = [line for line in said if 'augment' in line]
    assert "no batch_sampler=dict(type='SeededBatchSampler') and no SeedSample in" in sentence


def test_nothing_to_resume_and_nothing_left_to_train(tmp_path, said):
    runner, _ = loaded(tmp_path / 'run', EPOCHS, SHUFFLED, 2, resume=True)
    assert any('no checkpoint in' in line and 'from the beginning' in line for line in said)
    assert runner.iter == 15
    said.clear()
    runner, images = loaded(tmp_path / 'run', EPOCHS, SHUFFLED, 2, resume=True)
    assert images == [] and any('finished run (15 of 15 iterations)' in line for line in said)


@METRICS.register_module()
class NoFigures(BaseMetric):

    def process(self, data_batch, data_samples):
        pass

    def compute_metrics(self, results):
        return {}

    def evaluate(self, size):
        return {}


@pytest.mark.parametrize('evaluate', ['val', 'test'])
@pytest.mark.parametrize('named', [True, False])
def test_an_evaluation_takes_the_weights_and_training_resumes_after_it(
        tmp_path, whole, said, evaluate, named):
    folder = tmp_path / 'whole'
    for path in folder.glob('iter_1?.pth'):
        path.unlink()
    (folder / 'last_checkpoint').unlink()
    loop = {**EPOCHS, 'val_interval': 5} if evaluate == 'val' else EPOCHS
    cfg = config(folder, loop, SHUFFLED, randomness=SEED, resume=True)
    cfg.train_dataloader.batch_size = 2
    cfg.load_from = str(folder / 'iter_9.pth') if named else None
    data = dict(cfg.train_dataloader, sampler=dict(type='DefaultSampler'))
    cfg.update({f'{evaluate}_dataloader': data, f'{evaluate}_cfg': {},
                f'{evaluate}_evaluator': dict(type='NoFigures')})
    runner = CheckedRunner.from_cfg(cfg)
    getattr(runner, evaluate)()
    expected = load_checkpoint_file(folder / 'iter_9.pth')['state_dict']
    for name, value in runner.model.state_dict().items():
        assert torch.equal(value, expected[name]), name
    LOADED.clear()
    runner.train()
    # A validation follows the last epoch.
    assert LOADED[:12] == whole[18:] and runner.iter == 15
    # What was trained is not replaced by what was loaded.
    trained = {name: value.clone() for name, value in runner.model.state_dict().items()}
    for _ in range(2):
        getattr(runner, evaluate)()
    assert all(map(torch.equal, trained.values(), runner.model.state_dict().values()))

    # An evaluation takes no part of the weights, resumed from or not.
    torch.save({'state_dict': {'net.0.bias': expected['net.0.bias']}}, tmp_path / 'part.pth')
    cfg.load_from = str(tmp_path / 'part.pth')
    with pytest.raises(UserError, match='does not fit the model'):
        getattr(CheckedRunner.from_cfg(cfg), evaluate)()

    cfg.update(work_dir=str(tmp_path / 'empty'), load_from=None)
    getattr(CheckedRunner.from_cfg(cfg), evaluate)()
    assert any('no checkpoint in' in line and 'start are evaluated' in line for line in said)


def test_version_in_checkpoint_and_log(tmp_path):
    for number, kind in enumerate(('CheckpointHook', 'SafeCheckpointHook')):
        cfg = config(tmp_path / str(number), EPOCHS, SHUFFLED, randomness=SEED)
        cfg.default_hooks.checkpoint.type = kind
        cfg.log_level = 'INFO'
        CheckedRunner.from_cfg(cfg).train()
        meta = load_checkpoint_file(tmp_path / str(number) / 'iter_1.pth')['meta']
        assert meta['eca_mm_version'] == __version__
        log, = (tmp_path / str(number)).glob('*/*.log')
        assert f'eca_mm {__version__}' in log.read_text()


def test_a_resumed_run_does_not_want_the_first_weights(tmp_path):
    cfg = config(tmp_path / 'run', EPOCHS, SHUFFLED, randomness=SEED)
    torch.save(CheckedRunner.from_cfg(cfg).model.state_dict(), tmp_path / 'first.pth')
    cfg.model.init_cfg = {'type': 'Pretrained', 'checkpoint': str(tmp_path / 'first.pth')}
    CheckedRunner.from_cfg(cfg).train()
    os.remove(tmp_path / 'first.pth')
    cfg.update(resume=True, load_from=str(tmp_path / 'run/iter_5.pth'))
    runner = CheckedRunner.from_cfg(cfg)
    runner.train()
    assert runner.model.init_cfg == cfg.model.init_cfg


def test_which_checkpoint(tmp_path):
    original, copy = tmp_path / 'original', tmp_path / 'copy'
    for folder in (original, copy):
        folder.mkdir()
        for number in (2, 10, 9):
            torch.save({'meta': {'iter': number}}, folder / f'iter_{number}.pth')
            time.sleep(0.01)
    # By iteration, not by time or by letters.
    assert latest_checkpoint(copy) == str(copy / 'iter_10.pth')
    # Of an epoch and an iteration the files know which is later.
    torch.save({'meta': {'iter': 12}}, copy / 'epoch_1.pth')
    assert latest_checkpoint(copy) == str(copy / 'epoch_1.pth')
    (copy / 'epoch_1.pth').unlink()
    # The note of a copied folder names the original; its own file comes first.
    (copy / 'last_checkpoint').write_text(str(original / 'iter_9.pth'))
    assert latest_checkpoint(copy) == str(copy / 'iter_9.pth')
    (copy / 'iter_9.pth').unlink()
    assert latest_checkpoint(copy) == str(copy / 'iter_10.pth')
    for path in copy.glob('*.pth'):
        path.unlink()
    assert latest_checkpoint(copy) == str(original / 'iter_9.pth')
    for note in (b'\xff\xfe\x00', b'', b'\x00', b'absent.pth', b'x' * 5000):
        (original / 'last_checkpoint').write_bytes(note)
        assert latest_checkpoint(original) == str(original / 'iter_10.pth')
    # Anything but a regular file would block, or is not a checkpoint.
    (original / 'last_checkpoint').unlink()
    os.mkfifo(original / 'last_checkpoint')
    os.mkfifo(original / 'iter_99.pth')
    (original / 'iter_98.pth').mkdir()
    assert latest_checkpoint(original) == str(original / 'iter_10.pth')
    assert latest_checkpoint(tmp_path / 'absent') is None


def test_notes_are_plain_numbers(tmp_path, whole):
    hub = load_checkpoint_file(tmp_path / 'whole/iter_7.pth')['message_hub']['runtime_info']
    assert json.loads(json.dumps(hub['data_position'])) == {
        'batch_size': 2, 'world_size': 1, 'length': 5, 'iter': 5, 'epoch': 1, 'samples': 0,
        'left': 5}
