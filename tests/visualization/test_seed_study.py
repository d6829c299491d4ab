"""Networks with the same seeds: means, deviations and paired differences."""
import json
import runpy
import shutil
import subprocess
import sys
from dataclasses import asdict

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
    figures = study_figures({'plain': {0: 90, 1: 91}, 'ECA': {0: 91, 1: 92.5}})
    assert figures['ECA']['mean'] == 91.75
    assert figures['plain']['deviation'] == pytest.approx(np.sqrt(.5))
    assert 'difference' not in figures['plain']
    lines = study_table(figures).splitlines()
    assert lines[2] == '| plain | 90.00, 91.00 | 90.50 | 0.71 | - |'
    assert lines[3].startswith('| ECA | 91.00, 92.50 | 91.75 | 1.06 | +1.25 (')


def test_seeds_that_not_all_networks_have():
    """Differences are those of the same seed, whatever else was trained."""
    figures = study_figures({'plain': {0: 90, 1: 91, 2: 92}, 'k5': {3: 50, 2: 93, 0: 92},
                             'k7': {1: 93}})
    assert figures['k5']['seeds'] == [3, 2, 0]
    assert figures['k5']['difference'] == paired_difference([93, 92], [92, 90])
    assert figures['k7']['difference'] is None and figures['k7']['deviation'] is None
    assert study_table(figures).splitlines()[-1] == '| k7 | 93.00 | 93.00 | - | - |'
    with pytest.raises(UserError, match='SE has no result'):
        study_figures({'plain': {0: 90}, 'SE': {}})


def test_the_pages_that_the_study_writes(tmp_path):
    """One command fills the places that the documentation keeps for them."""
    write = runpy.run_path(str(ROOT / '.dev_scripts/cifar_pages.py'))['write_pages']
    networks = study_figures({'plain': {0: 90, 1: 91}, 'SE': {0: 90, 1: 92}, 'ECA': {0: 91, 1: 92},
                              'ECA-k5': {0: 91}})
    for row in networks.values():
        row.update({'difference': asdict(row['difference'])} if row.get('difference') else {})
    (tmp_path / 'study').mkdir()
    (tmp_path / 'study/study.json').write_text(json.dumps(dict(
        depth=20, epochs=3, milestones=[1, 2], networks=networks)))
    shutil.copytree(ROOT / 'docs', tmp_path / 'docs')
    for pictures in ((), ('compare_runs', 'kernel_sweep')):
        for name in pictures:
            (tmp_path / f'study/{name}.png').write_bytes(name.encode())
        before = (tmp_path / 'docs/visualization.md').read_text()
        write(tmp_path / 'study', tmp_path / 'docs')
        page = (tmp_path / 'docs/benchmarks.md').read_text()
        assert ('ResNet-20 on CIFAR-10, 3 epochs in batches of 128 images, learning rate 0.1, a '
                'tenth of it after 1 and 2 epochs, seeds 0 and 1.') in page
        assert '| ECA | 91.00, 92.00 | 91.50 | 0.71 | +1.00 (+1.00 to +1.00) |' in page
        assert '| ECA-k5 | 91.00 | 91.00 | - | - |\n<!-- end study -->' in page
        assert ((tmp_path / 'docs/visualization.md').read_text() == before) != bool(pictures)
    page = (tmp_path / 'docs/visualization.md').read_text()
    assert 'ECA-k5: seed 0), bars' in page and 'with SE and with ECA, 3 epochs, seed 0.' in page
    assert (tmp_path / 'docs/images/kernel_sweep.png').read_bytes() == b'kernel_sweep'
    (tmp_path / 'docs/benchmarks.md').write_text('# Benchmarks')
    with pytest.raises(UserError, match='no place for study'):
        write(tmp_path / 'study', tmp_path / 'docs')


@pytest.mark.slow
def test_the_study_of_cifar(tmp_path, monkeypatch, capsys):
    """One command trains, resumes, compares and draws."""
    for split in ('train', 'test'):
        for i, name in enumerate(CheckedCIFAR10.METAINFO['classes']):
            (tmp_path / 'cifar' / split / name).mkdir(parents=True)
            for j in range(13):
                Image.new('RGB', (32, 32), (20 * i, 10 * j, 0)).save(
                    tmp_path / 'cifar' / split / name / f'{j}.png')
    arguments = ['--epochs', '1', '--seeds', '0', '1', '--data', 'cifar', '--work-dirs', 'work',
                 '--kernel-sizes', '3', '5', '--kernel-seeds', '1',
                 '--cfg-options', 'default_hooks.logger.interval=1']
    done = subprocess.run(
        [sys.executable, ROOT / '.dev_scripts/cifar_study.py', *arguments], cwd=tmp_path,
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / 'work/study.json').read_text())
    # Adaptive k is 3 in all blocks.
    assert {name: row['seeds'] for name, row in figures['networks'].items()} == {
        'plain': [0, 1], 'SE': [0, 1], 'ECA': [0, 1], 'ECA-k5': [1]}
    assert (tmp_path / 'work/compare_runs.png').is_file()
    assert (tmp_path / 'work/kernel_sweep.png').is_file()
    # What is left is cheap enough for this process.
    monkeypatch.chdir(tmp_path)
    main = runpy.run_path(str(ROOT / '.dev_scripts/cifar_study.py'))['main']

    def run(option):
        monkeypatch.setattr(sys, 'argv', ['cifar_study.py', *arguments, option])
        main()
        return capsys.readouterr().out

    assert run('--print') == ''
    # What is not finished does not count, and a part of the study can be reported.
    for path in (tmp_path / 'work').glob('*-s1/epoch_1.pth'):
        path.unlink()
    table = run('--report')
    assert '| ECA | ' in table and 'ECA-k5' not in table
    # A checkpoint that was saved before its epoch was validated is not the end.
    log, = (tmp_path / 'work/eca-resnet20-e1-s0').glob('*/vis_data/scalars.json')
    lines = log.read_text().splitlines(keepends=True)
    log.write_text(''.join(line for line in lines if 'accuracy' not in line))
    with pytest.raises(UserError, match='before its last epoch was validated'):
        run('--report')
