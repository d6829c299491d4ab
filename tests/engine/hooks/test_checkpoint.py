"""Which checkpoints are there after a run, and which are not any more."""
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.fileio import LocalBackend, register_backend
from mmengine.runner import Runner

from eca_mm.compat import load_checkpoint_file
from eca_mm.engine import CheckedRunner
from eca_mm.engine.hooks import checkpoint
from eca_mm.version import __version__
from tests.support.marks import few_by_default
from tests.support.points import EPOCHS, ITERS, SHUFFLED, config


def run(folder, loop=EPOCHS, kind=CheckedRunner, resume=False, **options):
    cfg = config(folder, loop, SHUFFLED, randomness={'seed': 0}, resume=resume)
    cfg.default_hooks.checkpoint.update(options)
    runner = kind.from_cfg(cfg)
    runner.train()
    return runner


def saved(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


def test_only_so_many_are_kept(tmp_path):
    run(tmp_path / 'all')
    assert len(saved(tmp_path / 'all')) == 12
    run(tmp_path / 'two', max_keep_ckpts=2)
    assert saved(tmp_path / 'two') == ['iter_11.pth', 'iter_12.pth']


@pytest.mark.parametrize('metrics', [['score'], ['score', 'other']])
def test_a_best_checkpoint_that_is_saved_under_its_old_name_stays(tmp_path, metrics):
    # Counted by epochs, an iteration-based run saves its best under one name throughout.
    runner = run(tmp_path, {**ITERS, 'max_iters': 2}, by_epoch=True, rule='greater',
                 save_best=metrics if len(metrics) > 1 else metrics[0])
    hook, = (hook for hook in runner.hooks if isinstance(hook, checkpoint.SafeCheckpointHook))

    def best(score):
        hook._save_best_checkpoint(runner, dict.fromkeys(metrics, score))
        names = [name for name in saved(tmp_path) if name.startswith('best_')]
        assert len(names) == len(metrics)
        return set(names)

    first, *others = (best(score) for score in (1., 2., 3.))
    assert all(names == first for names in others)
    runner.train_loop._epoch = 4
    assert not best(4.) & first


def test_a_resumed_run_keeps_its_checkpoints_and_clears_what_was_half_written(tmp_path):
    run(tmp_path, {**ITERS, 'max_iters': 2})
    for name in ('.iter_3.pth.123', '.notes.pth.old'):
        (tmp_path / name).touch()
    runner = run(tmp_path, {**ITERS, 'max_iters': 3}, resume=True)
    assert runner.iter == 3 and not list(tmp_path.glob('earlier_*'))
    assert saved(tmp_path) == ['iter_1.pth', 'iter_2.pth', 'iter_3.pth']
    assert [path.name for path in tmp_path.glob('.*.pth.*')] == ['.notes.pth.old']


def test_the_version_is_noted_under_the_stock_runner_too(tmp_path):
    run(tmp_path, {**ITERS, 'max_iters': 1}, Runner)
    assert load_checkpoint_file(tmp_path / 'iter_1.pth')['meta']['eca_mm_version'] == __version__


def test_one_name_for_all_checkpoints(tmp_path):
    run(tmp_path, {**ITERS, 'max_iters': 2}, filename_tmpl='last.pth', max_keep_ckpts=1)
    assert saved(tmp_path) == ['last.pth']


@register_backend('elsewhere')
class Elsewhere(LocalBackend):
    """Stands for an object store."""

    removed = []

    def remove(self, filepath):
        self.removed.append(Path(filepath).name)
        super().remove(filepath)


def test_other_places_remove_their_own_files(tmp_path):
    (tmp_path / 'iter_9.pth').touch()
    Elsewhere.removed.clear()
    run(tmp_path, {**ITERS, 'max_iters': 3}, max_keep_ckpts=1,
        backend_args={'backend': 'elsewhere'})
    assert Elsewhere.removed == ['iter_1.pth', 'iter_2.pth']
    assert saved(tmp_path) == ['iter_3.pth', 'iter_9.pth']


def test_an_unknown_argument_is_refused_at_once():
    with pytest.raises(TypeError, match="unexpected keyword argument 'every'"):
        checkpoint.SafeCheckpointHook(every=2)


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
            (tmp_path / 'best_score_iter_1.pth').touch()
        else:
            starts.append(b'')
        run(tmp_path, {**ITERS, 'max_iters': 1})
        time.sleep(0.01)
    kept = [(path / 'iter_1.pth').read_bytes() for path in sorted(tmp_path.glob('earlier_x*'))
            if (path / 'iter_1.pth').is_file()]
    assert kept == ([b'of long ago'] if taken == 'folder' else []) + starts[1:]
    assert saved(tmp_path) == ['iter_1.pth']
    assert len(list(tmp_path.glob('earlier_x*/best_score_iter_1.pth'))) == 2
    if taken == 'file':
        assert name.read_text() == 'x'
