"""The command lines for frames and events."""
import json

import cv2
import pytest

from tests.support.event_data import write_ddd17, write_sequence, write_tracks
from tests.support.processes import run_tool


@pytest.fixture(scope='module')
def sequence(tmp_path_factory):
    root = tmp_path_factory.mktemp('dsec')
    write_sequence(root / 'test/thun_01_a')
    write_tracks(root / 'test/thun_01_a', [(1, 5, 5, 100, 200, 0), (1, 600, 5, 80, 20, 2)])
    return root


def test_dsec(sequence, tmp_path):
    done = run_tool(tmp_path, 'dataset_tools/dsec_to_coco.py', sequence, '--out', 'coco')
    assert (done.returncode, done.stderr) == (0, '')
    for text in ('test: 3 frames (2 empty), 2 boxes (pedestrian 1', '1 boxes that leave the view',
                 '59 sequences of the official split are missing', 'dsec-det_test.json'):
        assert text in done.stdout
    again = run_tool(tmp_path, 'dataset_tools/dsec_to_coco.py', sequence, '--out', 'coco')
    assert again.returncode == 1 and again.stderr.count('\n') == 1
    assert '--overwrite' in again.stderr
    done = run_tool(tmp_path, 'visualizations/event_frames.py', 'coco/dsec-det_test.json',
                    '--data-root', sequence, '--out-dir', 'pictures', '--num', '2')
    assert done.returncode == 0, done.stderr
    pictures = sorted((tmp_path / 'pictures').iterdir())
    assert len(pictures) == 2 and cv2.imread(str(pictures[0])).shape == (480, 1920, 3)
    for view in ('distorted', 'rectified'):
        done = run_tool(tmp_path, 'visualizations/event_frames.py', sequence / 'test/thun_01_a',
                        '--view', view, '--frame', '2', '--out-dir', view)
        assert done.returncode == 0, done.stderr
        assert cv2.imread(str(tmp_path / view / f'000002_{view}.png')).any()


def test_ddd17(tmp_path):
    write_ddd17(tmp_path / 'ddd', dict(train=['rec1_1'], test_all=['rec2_1']))
    for name, stem in (('train', 'rec1_1'), ('test_all', 'rec2_1')):
        (tmp_path / f'labels_filtered_{name}.csv').write_text(f'{stem}.npz,1,1,50,50,car\n')
    done = run_tool(tmp_path, 'dataset_tools/ddd17_to_coco.py', 'ddd', '.')
    assert (done.returncode, done.stderr) == (0, '')
    assert 'train: 1 frames (0 empty), 1 boxes (car 1)' in done.stdout
    assert json.loads((tmp_path / 'ddd/annotations/ddd17_test.json').read_text())['images']


@pytest.mark.slow
def test_demo(tmp_path):
    done = run_tool(tmp_path, 'demo_events.py', '--work-dir', 'd', '--json', 'f.json', '--iters',
                    '5')
    # So short a training misses the goals.
    assert done.returncode == 1 and 'AP50' in done.stderr
    figures = json.loads((tmp_path / 'f.json').read_text())
    assert list(figures) == ['frames', 'events', 'concat', 'eca']
    assert all(set(row) == {'ap', 'ap50', 'ap_dark'} for row in figures.values())
    assert len(list((tmp_path / 'd').glob('*_0_*.png'))) == 8
