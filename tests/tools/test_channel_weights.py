"""tools/visualizations/channel_weights.py from the command line."""
import json

import numpy as np
import pytest
import torch
from mmengine.config import Config

from eca_mm.analysis import build_model
from tests.support.processes import run_tool

TOOL = 'visualizations/channel_weights.py'
MODEL = ('cls.py', 'work_dirs/cls/epoch_1.pth')


@pytest.mark.slow
def test_two_models_side_by_side(trained):
    done = run_tool(trained, TOOL, *MODEL, *MODEL, '--labels', 'first', 'second', '--classes',
                    'red=sun', 'blue', '--out', 'out/w.png', '--json', 'w.json')
    assert done.returncode == 0, done.stderr
    assert (trained / 'out/w.png').read_bytes().startswith(b'\x89PNG')
    figures = json.loads((trained / 'w.json').read_text())
    arrays = np.load(trained / 'out/w.npz')
    assert list(figures) == arrays['models'].tolist() == ['first', 'second']
    cell = figures['second']['conv_5_2']
    assert cell['within'] == pytest.approx(arrays['second/conv_5_2/within'].mean())
    assert f'{cell["between"]:.2e} / {cell["within"]:.2e}' in done.stdout

    again = run_tool(trained, TOOL, *MODEL, '--out', 'out/w.png')
    assert again.returncode == 1 and 'out/w.png exists already; give --overwrite' in again.stderr
    forced = run_tool(trained, TOOL, *MODEL, '--out', 'out/w.png', '--overwrite', '--blocks',
                      'conv_2_1', '--max-per-class', 1)
    assert forced.returncode == 0, forced.stderr
    # One image a class: there is no variance within.
    assert np.isnan(np.load(trained / 'out/w.npz')['cls/conv_2_1/within']).all()


@pytest.mark.parametrize('arguments, code, sentence', [
    ([], 2, 'CONFIG CHECKPOINT'),
    (['cls.py'], 2, 'pairs of a config and its checkpoint'),
    ([*MODEL, '--labels', 'a', 'b'], 2, '--labels expects 1'),
    ([*MODEL, '--max-per-class', '0'], 2, '--max-per-class'),
    ([*MODEL, '--classes', 'read'], 1, "nearest name is 'red'"),
    ([*MODEL, '--blocks', 'conv_6_1'], 1, "block 'conv_6_1'; the blocks are conv_2_1"),
    ([*MODEL, '--out', 'w.jpg'], 1, 'must end in .png, .pdf or .svg'),
    ([*MODEL, '--data-root', 'nowhere'], 1, '--data-root nowhere is not a folder'),
    ([*MODEL, '--device', 'nowhere'], 1, '--device nowhere cannot be used'),
    (['cls.py', 'nowhere.pth'], 1, 'nowhere.pth'),
])
def test_misuse_gives_a_one_line_error(trained, arguments, code, sentence):
    done = run_tool(trained, TOOL, *arguments)
    assert done.returncode == code
    assert sentence in done.stderr and 'Traceback' not in done.stderr
    assert not list(trained.glob('*.png')) + list(trained.glob('*.npz'))


def test_model_without_attention_is_named(trained):
    config = trained / 'plain.py'
    config.write_text((trained / 'cls.py').read_text().replace('kernel_size=3', '').replace(
        'ECAResNet', 'AttentionResNet'))
    torch.save(build_model(Config.fromfile(config)).state_dict(), trained / 'plain.pth')
    done = run_tool(trained, TOOL, config, 'plain.pth')
    assert (done.returncode, done.stderr.count('\n')) == (1, 1)
    assert 'no channel attention' in done.stderr
