"""tools/visualizations/kernel_sweep.py and bubbles.py on runs that were really trained."""
import json

import pytest

from tests.support import samples
from tests.support.processes import run_tool

VALIDATE = """
val_dataloader = test_dataloader
val_evaluator = test_evaluator
val_cfg = dict()
"""


@pytest.fixture(scope='module')
def sweep(tmp_path_factory):
    """A folder with work directories k3, k5 and adaptive."""
    folder = tmp_path_factory.mktemp('sweep')
    samples.draw_classes(folder / 'classes')
    samples.write_config(folder / 'cls.py', samples.CLASSIFICATION, folder / 'classes', VALIDATE)
    for name, size in (('k3', 3), ('k5', 5), ('adaptive', 'adaptive')):
        done = run_tool(folder, 'train.py', 'cls.py', '--work-dir', name, '--cfg-options',
                        f'model.backbone.kernel_size={size}')
        assert done.returncode == 0, done.stderr
    return folder


def logged(folder, name):
    path, = (folder / name).glob('*/vis_data/scalars.json')
    return json.loads(path.read_text().splitlines()[-1])['accuracy/top1']


def test_sweep_of_kernel_sizes(sweep):
    runs = ('k3', 'k5', 'adaptive')
    done = run_tool(sweep, 'visualizations/kernel_sweep.py', *runs, '--json', 'k.json')
    assert done.returncode == 0, done.stderr
    assert (sweep / 'kernel_sweep.png').read_bytes().startswith(b'\x89PNG')
    figures = json.loads((sweep / 'k.json').read_text())
    assert {name: figures[name]['kernel'] for name in runs} == {
        'k3': 3, 'k5': 5, 'adaptive': 'adaptive'}
    assert all(figures[name]['result'] == logged(sweep, name) for name in runs)


def test_runs_among_the_bubbles(sweep):
    done = run_tool(sweep, 'visualizations/bubbles.py', '--backbones', '--runs', 'k3', 'k5',
                    '--labels', 'three', 'five', '--json', 'b.json', '--out', 'b.svg')
    assert done.returncode == 0, done.stderr
    three, five = json.loads((sweep / 'b.json').read_text())['models']
    # Two more weights in each of the eight blocks.
    assert (three['family'], five['params'] - three['params']) == ('three', 16)
    assert three['accuracy'] == logged(sweep, 'k3')
    assert '<svg' in (sweep / 'b.svg').read_text()


def test_bubbles_of_the_paper(tmp_path):
    done = run_tool(tmp_path, 'visualizations/bubbles.py', '--backbones', 'ResNet-50')
    assert done.returncode == 0, done.stderr
    assert '25,557,112' in done.stdout and '77.48' in done.stdout
    assert (tmp_path / 'bubbles.png').exists()


@pytest.mark.parametrize('tool, arguments, code, sentence', [
    ('kernel_sweep', [], 2, 'WORK_DIR'),
    ('kernel_sweep', ['adaptive'], 1, 'one kernel size in all blocks'),
    ('kernel_sweep', ['k3', '--metric', 'coco/bbox_mAP'], 1, 'logged accuracy/top1'),
    ('bubbles', ['--backbones'], 2, 'nothing to draw'),
    ('bubbles', ['--backbones', 'ResNet-51'], 1, "no backbone 'ResNet-51'"),
    ('bubbles', ['--out', 'b.gif'], 1, 'must end in .png'),
])
def test_misuse_gives_a_one_line_error(sweep, tmp_path, tool, arguments, code, sentence):
    done = run_tool(sweep, f'visualizations/{tool}.py', '--out', tmp_path / 'm.png', *arguments)
    assert done.returncode == code
    assert sentence in done.stderr and 'Traceback' not in done.stderr
