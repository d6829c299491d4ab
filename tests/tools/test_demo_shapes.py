"""The demo from the first command to the last, with a training too short to succeed."""
import runpy
import sys

import cv2
import pytest

from eca_mm.datasets.shapes import make_shapes
from tests.support.processes import ROOT, run_tool


@pytest.mark.slow
def test_demo(tmp_path):
    root = tmp_path / 'demo'
    make_shapes(root / 'data', num_train=8, num_val=4)
    first = run_tool(tmp_path, 'demo_shapes.py', '--work-dir', root, '--iters', 2)
    # Every stage ran; what it lacks is accuracy, and only that is complained about.
    assert first.returncode == 1
    assert first.stderr.splitlines()[-1].startswith('bbox AP is 0.0')
    assert 'Iter(train)' in first.stdout and 'Iter(test)' in first.stdout
    assert (root / 'train' / 'iter_2.pth').is_file()
    assert len(list((root / 'pictures').iterdir())) == 4
    # Ground truth beside prediction, two images in a row.
    assert cv2.imread(str(root / 'predictions.png')).shape == (512, 1024, 3)
    table = first.stdout[first.stdout.index('AP     AP50'):]
    assert 'bbox  0.0' in table and 'segm  0.0' in table

    again = run_tool(tmp_path, 'demo_shapes.py', '--work-dir', root, '--iters', 2)
    assert again.returncode == 1
    assert 'is there already' in again.stdout and 'Iter(train)' not in again.stdout
    assert again.stderr.splitlines()[-1] == first.stderr.splitlines()[-1]


def test_data_of_another_seed_are_not_taken(tmp_path, monkeypatch):
    make_shapes(tmp_path / 'data', num_train=1, num_val=1, size=64, seed=10)
    monkeypatch.setattr(sys, 'argv', ['demo', '--work-dir', str(tmp_path), '--seed', '0'])
    with pytest.raises(SystemExit, match='was not drawn with seed 0; give another --work-dir'):
        runpy.run_path(str(ROOT / 'tools/demo_shapes.py'), run_name='__main__')
    assert not (tmp_path / 'train').exists()
