"""Networks with the same seeds: means, deviations and paired differences."""
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from eca_mm.datasets import CheckedCIFAR10
from eca_mm.utils.errors import UserError
from eca_mm.visualization.seed_study import paired_difference, study_figures, study_table
from tests.support.processes import ROOT


def test_paired_difference():
    """Three differences of 1, 2 and 3: t(0.975, 2) = 4.303, standard error 1 / sqrt(3)."""
    found = paired_difference([91, 93, 92], [90, 91, 89])
    assert found.mean == 2
    assert (found.low, found.high) == pytest.approx((2 - 4.3027 / 3**.5, 2 + 4.3027 / 3**.5), 1e-4)
    assert str(found) == '+2.00 (-0.48 to +4.48)'
    narrow = paired_difference([91, 93, 92], [90, 91, 89], .5)
    assert found.low < narrow.low < 2 < narrow.high < found.high


@pytest.mark.parametrize(('results', 'baseline'), [([1], [1]), ([1, 2], [1, 2, 3])])
def test_too_few_seeds(results, baseline):
    with pytest.raises(UserError, match='the same seeds, two or more'):
        paired_difference(results, baseline)


def test_table():
    figures = study_figures({'plain': [90, 91], 'ECA': [91, 92.5]})
    assert figures['ECA']['mean'] == 91.75
    assert figures['plain']['deviation'] == pytest.approx(np.sqrt(.5))
    assert 'difference' not in figures['plain']
    lines = study_table(figures).splitlines()
    assert lines[2] == '| plain | 90.00, 91.00 | 90.50 | 0.71 | - |'
    assert lines[3].startswith('| ECA | 91.00, 92.50 | 91.75 | 1.06 | +1.25 (')


def study(tmp_path, *arguments):
    return subprocess.run(
        [sys.executable, ROOT / '.dev_scripts/cifar_study.py', *arguments], cwd=tmp_path,
        capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_study_of_cifar(tmp_path):
    """One command trains, resumes, compares and draws."""
    for split in ('train', 'test'):
        for i, name in enumerate(CheckedCIFAR10.METAINFO['classes']):
            (tmp_path / 'cifar' / split / name).mkdir(parents=True)
            for j in range(13):
                Image.new('RGB', (32, 32), (20 * i, 10 * j, 0)).save(
                    tmp_path / 'cifar' / split / name / f'{j}.png')
    arguments = ['--epochs', '1', '--seeds', '0', '1', '--data', 'cifar', '--work-dirs', 'work',
                 '--kernel-sizes', '3', '--cfg-options', 'default_hooks.logger.interval=1']
    done = study(tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / 'work/study.json').read_text())
    assert list(figures) == ['plain', 'SE', 'ECA', 'ECA-k3']
    assert all(len(row['results']) == 2 for row in figures.values())
    assert (tmp_path / 'work/compare_runs.png').is_file()
    assert (tmp_path / 'work/kernel_sweep.png').is_file()
    left = study(tmp_path, *arguments, '--print')
    assert (left.returncode, left.stdout) == (0, '')
