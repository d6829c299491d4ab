"""A run that is killed at any moment and resumed ends like an uninterrupted one."""
import os
import random
import signal
import time

import pytest
import torch

from eca_mm.checkpoints.latest import latest_checkpoint
from eca_mm.compat import load_checkpoint_file
from tests.support import samples
from tests.support.processes import run_tool, start_tool

# Twenty runs take their time where others compute too.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

# What draws random numbers: the order of the images, crops, flips, colours, mixed images, dropout.
CLASSIFIER = """
model['head']['type'] = 'StackedLinearClsHead'
model['head'].update(mid_channels=[2000], dropout_rate=0.5)
model['train_cfg'] = dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)])
train_dataloader.update(
    num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(dataset, pipeline=[
        dict(type='SeedSample'), dict(type='LoadImageFromFile'),
        dict(type='RandomResizedCrop', scale=32),
        dict(type='RandomFlip', prob=0.5), dict(type='ColorJitter', brightness=0.4),
        dict(type='PackInputs')]))
train_cfg = dict(type='RepeatableEpochLoop', max_epochs=20, val_interval=4)
val_dataloader, val_cfg, val_evaluator = test_dataloader, dict(), test_evaluator
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=10),
    dict(type='CosineAnnealingLR', T_max=20, begin=0, end=20, convert_to_iter_based=True)]
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=0.001), clip_grad=dict(max_norm=5))
custom_hooks = [dict(type='StopOnInvalidLossHook'), dict(type='EMAHook')]
default_hooks['checkpoint'] = dict(interval=2, by_epoch=False, max_keep_ckpts=2)
randomness = dict(seed=None)
"""
DETECTOR = """
train_dataloader['sampler'] = dict(type='InfiniteSampler', shuffle=True)
train_dataloader['dataset']['pipeline'].insert(4, dict(type='RandomFlip', prob=0.5))
train_dataloader['dataset']['pipeline'].insert(4, dict(type='PhotoMetricDistortion'))
train_dataloader['dataset']['pipeline'][-1]['meta_keys'] += ('flip', 'flip_direction')
train_cfg = dict(type='RepeatableIterLoop', max_iters=60)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=10),
    dict(type='MultiStepLR', by_epoch=False, milestones=[30, 45])]
default_hooks['checkpoint'] = dict(interval=2, by_epoch=False, max_keep_ckpts=1)
log_processor = dict(by_epoch=False)
randomness = dict(seed=None)
"""


def same(found, expected, path=''):
    """Compare nested containers, tensors bit for bit; return the first difference."""
    if isinstance(expected, torch.Tensor):
        return None if torch.equal(found, expected) else path
    if isinstance(expected, dict):
        if found.keys() != expected.keys():
            return path
        pairs = [(found[key], expected[key], key) for key in expected]
    elif isinstance(expected, list | tuple):
        if len(found) != len(expected):
            return path
        pairs = [(*pair, index) for index, pair in enumerate(zip(found, expected, strict=True))]
    else:
        return None if found == expected else path
    return next(filter(None, (same(a, b, f'{path}.{key}') for a, b, key in pairs)), None)


def wait_to_kill(process, work_dir, rng, in_a_write):
    """Wait for a random moment, which may be one in which a checkpoint is being written.

    Args:
        process (multiprocessing.Process): The training.
        work_dir (Path): Its work directory.
        rng (random.Random): Chooses how many checkpoints are awaited first, and how long then.
        in_a_write (bool): Whether to wait for the next half-written file then.

    Returns:
        bool: False if the process has ended before.
    """
    note = work_dir / 'last_checkpoint'
    awaited, last = rng.randrange(5), note.read_text() if note.exists() else ''
    # Without a checkpoint to wait for it falls into the imports, the set-up or the first steps.
    limit = time.monotonic() + rng.uniform(0, 6) if not awaited else None
    while process.is_alive():
        if awaited:
            now = note.read_text() if note.exists() else ''
            # Empty for a moment: mmengine is writing it.
            if now and now != last:
                awaited, last = awaited - 1, now
                limit = time.monotonic() + rng.uniform(0, 0.5)
        elif in_a_write:
            if any(work_dir.glob(f'.*.pth.{process.pid}')):
                return True
        elif time.monotonic() > limit:
            return True
        time.sleep(0.0005)
    return False


@pytest.mark.parametrize(('name', 'text', 'more', 'kills', 'seed'), [
    ('cls', samples.CLASSIFICATION, CLASSIFIER, 12, 1),
    ('det', samples.DETECTION, DETECTOR, 8, 2),
])
def test_killed_at_random_moments(tmp_path, capsys, name, text, more, kills, seed):
    data = tmp_path / 'data'
    (samples.draw_classes if name == 'cls' else samples.draw_coco)(data)
    config = samples.write_config(tmp_path / f'{name}.py', text, data, more)
    whole = run_tool(tmp_path, 'train.py', config, '--work-dir', 'whole')
    assert whole.returncode == 0, whole.stderr
    last = latest_checkpoint(tmp_path / 'whole')
    expected = load_checkpoint_file(last)
    options = ['--cfg-options', f'randomness.seed={expected["meta"]["seed"]}']

    rng = random.Random(seed)
    work_dir, log = tmp_path / 'killed', []
    done = writes = 0
    while len(log) < kills:
        in_a_write = len(log) % 3 == 2
        # Only the very first process is told the seed; those that resume find it themselves.
        arguments = [] if latest_checkpoint(work_dir) else options
        process = start_tool(tmp_path, 'train.py', config, '--work-dir', 'killed', '--resume',
                             *arguments)
        killed = wait_to_kill(process, work_dir, rng, in_a_write)
        if killed:
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        left = latest_checkpoint(work_dir) if work_dir.is_dir() else None
        at = 0
        if left is not None:
            # Whole, whatever happened: every tensor can be read.
            at = load_checkpoint_file(left)['meta']['iter']
        assert at >= done
        partial = [path.name for path in work_dir.glob('.*.pth.*')] if work_dir.is_dir() else []
        writes += bool(killed and partial)
        if not killed:
            assert process.exitcode == 0, (tmp_path / '.stderr').read_text()
            # It came to its end: start again, in a new folder.
            work_dir.rename(tmp_path / f'finished{len(log)}')
            at = 0
        else:
            log.append(f'{"write" if in_a_write else "time"}@{at}')
        done = at
    final = run_tool(tmp_path, 'train.py', config, '--work-dir', 'killed', '--resume',
                     *([] if latest_checkpoint(work_dir) else options))
    assert final.returncode == 0, final.stderr
    for folder in (work_dir, *tmp_path.glob('finished*')):
        found = load_checkpoint_file(str(folder / os.path.basename(last)))
        for part in ('state_dict', 'optimizer', 'param_schedulers', 'ema_state_dict'):
            assert same(found.get(part), expected.get(part), part) is None
    # Half-written files of killed processes do not pile up.
    assert not list(work_dir.glob('.*.pth.*'))
    with capsys.disabled():
        print(f'\n{name}: seed {seed}, {kills} kills ({writes} left half a checkpoint): '
              f'{" ".join(log)}; final weights equal')
    assert writes >= 1
