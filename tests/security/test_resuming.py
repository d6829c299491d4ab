"""A forged checkpoint that is resumed from removes no file and ends in a sentence."""
import os

import pytest
import torch

from eca_mm.compat import load_checkpoint_file
from eca_mm.compat.checkpoint_loading import keep_own_files
from eca_mm.engine import CheckedRunner
from eca_mm.engine.work_dir_lock import NAME, holder, locked
from eca_mm.utils.errors import UserError
from tests.support.points import EPOCHS, SHUFFLED, config

ONCE = {**EPOCHS, 'max_epochs': 1}


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp('saved')
    CheckedRunner.from_cfg(config(folder, ONCE, SHUFFLED, randomness={'seed': 0})).train()
    return load_checkpoint_file(folder / 'iter_1.pth')


def resumed(folder, content, hook='SafeCheckpointHook', **options):
    path = folder / 'forged.pth'
    torch.save(content, path)
    cfg = config(folder / 'run', ONCE, SHUFFLED, resume=True, load_from=str(path))
    cfg.default_hooks.checkpoint.update(type=hook, save_best='score', rule='greater',
                                        max_keep_ckpts=1, **options)
    return CheckedRunner.from_cfg(cfg)


@pytest.mark.parametrize('hook', ['SafeCheckpointHook', 'CheckpointHook'])
def test_files_that_it_names_stay(tmp_path, saved, hook):
    victims = [tmp_path / name for name in ('thesis.tex', 'other/best_score_iter_1.pth')]
    info = dict(saved['message_hub']['runtime_info'])
    for victim in victims:
        victim.parent.mkdir(exist_ok=True)
        victim.write_text('years of work')
        info.update(best_ckpt=str(victim), last_ckpt=str(victim), best_score=0.,
                    keep_ckpt_ids=['/../../thesis.tex', 1], cfg='import os')
        hub = {**saved['message_hub'], 'runtime_info': info,
               'resumed_keys': dict.fromkeys(info, True)}
        runner = resumed(tmp_path, {**saved, 'message_hub': hub}, hook)
        runner.train()
        best, = (one for one in runner.hooks if type(one).__name__ == hook)
        best._save_best_checkpoint(runner, {'score': 1.})
        assert victim.read_text() == 'years of work'
        # Nor is the text passed on that it brings as its config.
        assert runner.message_hub.get_info('cfg') == runner.cfg.pretty_text


def test_a_folder_for_checkpoints_is_the_run_s_own(tmp_path, saved):
    for folder in ('out', 'out/run', 'other'):
        best = tmp_path / folder / 'best_score_iter_1.pth'
        best.parent.mkdir(exist_ok=True)
        best.touch()
        info = {**saved['message_hub']['runtime_info'], 'best_ckpt': str(best)}
        hub = {**saved['message_hub'], 'runtime_info': info,
               'resumed_keys': dict.fromkeys(info, True)}
        runner = resumed(tmp_path, {**saved, 'message_hub': hub}, out_dir=str(tmp_path / 'out'))
        runner.train()
        assert ('best_ckpt' in runner.message_hub.runtime_info) == (folder != 'other')


def test_a_copied_folder_names_its_own_files(tmp_path):
    for name in ('best_a.pth', 'notes.txt'):
        (tmp_path / name).touch()
    info = {'best_ckpt': '/elsewhere/best_a.pth', 'best_ckpt_b': str(tmp_path / 'best_b.pth'),
            'best_ckpt_f': str(tmp_path / 'notes.txt'), 'best_ckpt_g': '/elsewhere/notes.txt',
            'best_ckpt_c': '/elsewhere/best_c.pth', 'best_ckpt_d': 3, 'best_ckpt_e': 'a\0.pth',
            'keep_ckpt_ids': [1, '2', None], 'epoch': 1}
    keep_own_files(info, [str(tmp_path)])
    assert info == {'best_ckpt': str(tmp_path / 'best_a.pth'), 'epoch': 1, 'keep_ckpt_ids': [1],
                    'best_ckpt_b': str(tmp_path / 'best_b.pth')}


@pytest.mark.parametrize('change', [
    {'meta': {'epoch': 'x', 'iter': 1}}, {'meta': {'epoch': True, 'iter': 1}},
    {'meta': {'epoch': 0, 'iter': -1}},
    {'meta': {'epoch': 0, 'iter': 10**30}}, {'meta': {'epoch': 0, 'iter': 1, 'seed': 'x'}},
    {'meta': {'epoch': 0, 'iter': 1, 'seed': 2**70}}, {'meta': {}}, {'meta': None},
    {'message_hub': {}}, {'message_hub': {'log_scalars': 1, 'runtime_info': [], 'resumed_keys': 0}},
    {'optimizer': {}}, {'optimizer': [1]}, {'param_schedulers': 3},
    {'optimizer': {'state': {}, 'param_groups': []}}])
def test_what_does_not_fit_is_a_sentence(tmp_path, saved, change):
    with pytest.raises(UserError, match='forged.pth') as caught:
        resumed(tmp_path, {**saved, **change}).train()
    assert '\n' not in str(caught.value)


@pytest.mark.skipif(os.name != 'posix', reason='POSIX has these locks')
def test_the_lock_writes_into_no_other_file(tmp_path):
    victim = tmp_path / 'victim'
    victim.write_text('years of work')
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a' / NAME).symlink_to(victim)
    assert holder(tmp_path / 'a') is None
    with pytest.raises(OSError), locked(tmp_path / 'a'):
        pass
    (tmp_path / 'b').mkdir()
    os.link(victim, tmp_path / 'b' / NAME)
    with locked(tmp_path / 'b'):
        pass
    assert victim.read_text() == 'years of work'
