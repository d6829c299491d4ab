"""tools/train.py --profile-data."""
import json

import pytest

from eca_mm.benchmark.data_profile import DataProfile, Loading, worker_choices
from tests.support.marks import few_by_default
from tests.support.processes import run_tool


def test_whether_the_model_waits():
    slow, fast, alone = Loading(1, 0.4), Loading(4, 0.1), Loading(0, 0.1)
    assert [loading.iteration(0.2) for loading in (slow, fast)] == [0.4, 0.2]
    assert alone.iteration(0.2) == pytest.approx(0.3)
    assert [loading.waiting(0.2) for loading in (slow, fast)] == [0.5, 0]
    profile = DataProfile(8, 'cpu', 0.2, 0.1, 36000, (alone, slow, fast))
    assert profile.best is fast
    assert DataProfile(8, 'cpu', 0.2, 0.1, 1, (alone, slow)).best is alone
    assert profile.advice() == (
        'num_workers=4 is enough.\nNo GPU was measured. With num_workers=4 it would get at most '
        '80.0 images/s: one that trains 160.0 images/s would wait half of the time, one that '
        'trains fewer than 80.0 not at all.')
    assert 'GPU' not in DataProfile(8, 'cpu', 0.2, 0.1, 1, (alone, )).advice()
    assert DataProfile(8, 'cuda', 0.2, 0.1, 1, (slow, )).advice() == (
        'num_workers=1 is the best of them, but the model still waits for data.')
    figures = profile.figures()
    assert figures['loading'][1] == dict(
        num_workers=1, seconds=0.4, images_per_second=20, iteration_seconds=0.4, waiting=0.5,
        hours=4)


def test_numbers_of_workers():
    assert [worker_choices(cores) for cores in (1, 2, 6)] == [[0, 1], [0, 1, 2], [0, 1, 2, 4]]
    assert worker_choices()[0] == 0


@pytest.mark.parametrize(('config', 'batch', 'iterations'), few_by_default(
    [('cls.py', 4, 3), ('det.py', 2, 2)], 0))
def test_profile(folder, config, batch, iterations):
    result = run_tool(folder, 'train.py', config, '--profile-data', '0', '1', '--work-dir', 'work')
    assert result.returncode == 0, result.stderr
    assert f'batches of {batch} images, a step on' in result.stdout
    assert 'num_workers=' in result.stdout
    figures = json.loads((folder / 'work/data_profile.json').read_text())
    assert (figures['batch_size'], figures['iterations']) == (batch, iterations)
    assert [loading['num_workers'] for loading in figures['loading']] == [0, 1]
    assert 0 < figures['step_cpu_seconds']
    assert figures['step_images_per_second'] == pytest.approx(batch / figures['step_seconds'])
    assert not list((folder / 'work').glob('*.pth'))


def test_misuse(folder):
    assert run_tool(folder, 'train.py', 'cls.py', '--profile-data', '-1').returncode == 2
    assert run_tool(folder, 'train.py', 'cls.py', '--profile-data', 'x').returncode == 2
