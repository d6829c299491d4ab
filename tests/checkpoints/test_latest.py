"""Which checkpoint of a folder comes last."""
import pytest
import torch

from eca_mm.checkpoints.latest import latest_checkpoint


def save(folder, **iterations):
    for name, iteration in iterations.items():
        torch.save(dict(state_dict={}, meta=dict(iter=iteration)), folder / f'{name}.pth')


@pytest.mark.parametrize(('iterations', 'last'), [
    (dict(epoch_2=20, epoch_10=100, epoch_9=90), 'epoch_10'),
    (dict(epoch_2=20, iter_15=15), 'epoch_2'),
    (dict(epoch_1=10, iter_15=15), 'iter_15'),
    (dict(epoch_1=10, iter_15=15, iter_9=9), 'iter_15')])
def test_the_latest_iteration_counts(tmp_path, iterations, last):
    save(tmp_path, **iterations)
    assert latest_checkpoint(tmp_path) == str(tmp_path / f'{last}.pth')


def test_the_recorded_one_comes_first_if_it_is_in_the_folder(tmp_path):
    save(tmp_path, epoch_1=10, epoch_2=20)
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/epoch_1.pth')
    assert latest_checkpoint(tmp_path) == str(tmp_path / 'epoch_1.pth')
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/epoch_7.pth')
    assert latest_checkpoint(tmp_path) == str(tmp_path / 'epoch_2.pth')


def test_files_and_names_that_are_not_usable(tmp_path):
    save(tmp_path, iter_5=5)
    (tmp_path / 'epoch_1.pth').write_text('not a checkpoint')
    assert latest_checkpoint(tmp_path) == str(tmp_path / 'iter_5.pth')
    (tmp_path / 'last\x1b.pth').touch()
    (tmp_path / 'last_checkpoint').write_text('last\x1b.pth')
    assert latest_checkpoint(tmp_path) == str(tmp_path / 'iter_5.pth')


def test_nothing_to_continue_from(tmp_path):
    assert latest_checkpoint(tmp_path / 'absent') is None
    (tmp_path / 'epoch_1.pth').mkdir()
    save(tmp_path, epoch_best=5)
    assert latest_checkpoint(tmp_path) is None
