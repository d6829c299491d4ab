"""Which checkpoints are there after a run, and which are not any more."""
import time
from types import SimpleNamespace

import pytest

from eca_mm.engine import CheckedRunner
from eca_mm.engine.hooks import checkpoint
from tests.support.marks import few_by_default
from tests.support.points import EPOCHS, ITERS, SHUFFLED, config


def run(folder, loop=EPOCHS, **options):
    cfg = config(folder, loop, SHUFFLED, randomness={'seed': 0})
    cfg.default_hooks.checkpoint.update(options)
    runner = CheckedRunner.from_cfg(cfg)
    runner.train()
    return runner


def saved(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


def test_only_so_many_are_kept(tmp_path):
    run(tmp_path / 'all')
    assert len(saved(tmp_path / 'all')) == 12
    run(tmp_path / 'two', max_keep_ckpts=2)
    assert saved(tmp_path / 'two') == ['iter_11.pth', 'iter_12.pth']


def test_a_best_checkpoint_that_is_saved_under_its_old_name_stays(tmp_path):
    # Counted by epochs, an iteration-based run saves its best under one name throughout.
    runner = run(tmp_path, {**ITERS, 'max_iters': 2}, by_epoch=True, save_best='score',
                 rule='greater')
    hook, = (hook for hook in runner.hooks if isinstance(hook, checkpoint.SafeCheckpointHook))
    for score in (1., 2., 3.):
        hook._save_best_checkpoint(runner, {'score': score})
        name, = (name for name in saved(tmp_path) if name.startswith('best_'))
    runner.train_loop._epoch = 4
    hook._save_best_checkpoint(runner, {'score': 4.})
    newer, = (name for name in saved(tmp_path) if name.startswith('best_'))
    assert newer != name


@pytest.mark.parametrize('taken', few_by_default(['', 'folder', 'file', 'link'], 0, 3))
def test_earlier_runs_are_kept_apart_by_a_clock_that_stands_still(tmp_path, monkeypatch, taken):
    monkeypatch.setattr(checkpoint, 'time', SimpleNamespace(strftime=lambda form: 'earlier_x'))
    name = tmp_path / 'earlier_x'
    if taken == 'folder':
        name.mkdir()
        (name / 'iter_1.pth').write_text('of long ago')
    elif taken == 'file':
        name.write_text('x')
    elif taken == 'link':
        name.symlink_to('absent')
    starts = []
    for _ in range(3):
        if starts:
            starts.append((tmp_path / 'iter_1.pth').read_bytes())
        else:
            starts.append(b'')
        run(tmp_path, {**ITERS, 'max_iters': 1})
        time.sleep(0.01)
    kept = [(path / 'iter_1.pth').read_bytes() for path in sorted(tmp_path.glob('earlier_x*'))
            if (path / 'iter_1.pth').is_file()]
    assert kept == ([b'of long ago'] if taken == 'folder' else []) + starts[1:]
    if taken == 'file':
        assert name.read_text() == 'x'
