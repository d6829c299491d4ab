"""tools/visualizations/gap_activations.py from the command line."""
import json

import pytest

from tests.support.processes import run_tool

TOOL = 'visualizations/gap_activations.py'
MODEL = ('cls.py', 'work_dirs/cls/epoch_1.pth')


def test_two_images_and_two_models(trained):
    for name in ('red', 'blue'):
        (trained / 'classes' / name / '0.png').rename(trained / f'{name}.png')
    done = run_tool(trained, TOOL, *MODEL, 'det.py', 'work_dirs/det/epoch_1.pth', '--images',
                    'red.png=sun', 'blue.png', '--blocks', 'conv_3_1', '--json', 'g.json')
    assert done.returncode == 0, done.stderr
    assert (trained / 'gap_activations.png').read_bytes().startswith(b'\x89PNG')
    rows = json.loads((trained / 'g.json').read_text())['rows']
    assert [(row['model'], row['image']) for row in rows] == [
        ('cls', 'sun'), ('cls', 'blue'), ('det', 'sun'), ('det', 'blue')]
    assert f'{rows[1]["neighbours"]:+.2f}' in done.stdout
    again = run_tool(trained, TOOL, *MODEL, '--images', 'red.png')
    assert again.returncode == 1 and 'give --overwrite' in again.stderr


@pytest.mark.parametrize('arguments, code, sentence', [
    (MODEL, 2, '--images'),
    ([*MODEL, '--images', 'nowhere.png'], 1, 'Image nowhere.png does not exist'),
    ([*MODEL, '--images', 'cls.py'], 1, 'cls.py'),
    ([*MODEL, '--images', 'classes/red/0.png', '--blocks', 'conv_9_9'], 1, 'the blocks are'),
])
def test_misuse_gives_a_one_line_error(trained, arguments, code, sentence):
    done = run_tool(trained, TOOL, *arguments)
    assert done.returncode == code
    assert sentence in done.stderr and 'Traceback' not in done.stderr
