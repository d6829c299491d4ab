"""``python -m eca_mm`` finds the tools and configs wherever it is called."""
import json
import os
import subprocess
import sys

import pytest

from eca_mm import __main__ as command
from eca_mm.compat.other_tools import find_other_tool, other_tools, run_other_tool
from eca_mm.engine.config import load_config
from eca_mm.engine.inputs import input_files
from eca_mm.utils.config_names import config_path
from eca_mm.utils.errors import UserError
from tests.support.catalog import ROOT


def call(folder, *arguments):
    return subprocess.run([sys.executable, '-m', 'eca_mm', *map(str, arguments)], cwd=folder,
                          capture_output=True, text=True,
                          env={**os.environ, 'PYTHONPATH': str(ROOT)})


def test_every_tool_is_found_by_its_names():
    found = command.tools()
    assert {'train', 'test', 'demo', 'check', 'export', 'benchmark', 'complexity', 'env', 'run',
            'publish', 'paper-tables', 'compare-runs'} <= set(found)
    assert 'launch' not in found
    for name, path in found.items():
        assert command.find_tool(name) == command.find_tool(path.stem) == path
    assert command.find_tool('tools/analysis_tools/check_config.py') == found['check']
    assert command.find_tool('trian') is None
    page = command.listing('eca-mm')
    assert 'convert {ecanet,timm,torchvision}' in page
    # Each line says what the tool does.
    assert all(len(line.split()) > 2 for line in page.splitlines()[4:])


@pytest.mark.slow
def test_a_tool_runs_by_name_with_a_config_by_name(tmp_path):
    done = call(tmp_path, 'complexity', 'eca_mm::eca_resnet/eca-resnet18-k3577_4xb64_in1k.py',
                '--json', 'c.json', '--shape', 32, 32)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / 'c.json').read_text())['params'] == 11_689_556


def test_misuse_and_lists(monkeypatch, capsys):
    monkeypatch.setattr(command.grammar, 'called_as', None)
    for arguments, code, text in (
            ([], 0, 'usage: '), (['trian'], 2, "did you mean 'train'"),
            (['convert'], 2, 'convert {ecanet'), (['convert', '--help'], 0, 'convert {ecanet'),
            (['env', '--help'], 0, 'example: python -m eca_mm env --json'),
            (['convert', 'timm', '--help'], 0, 'example: python -m eca_mm convert timm ')):
        monkeypatch.setattr(sys, 'argv', ['python', *arguments])
        try:
            command.main()
            ended = 0
        except SystemExit as error:
            ended = error.code or 0
        seen = capsys.readouterr()
        assert ended == code and text in seen.out + seen.err


def test_configs_by_name():
    assert config_path('some/path.py') == 'some/path.py'
    path = config_path('eca_mm::eca_resnet/eca-resnet18-k3577_4xb64_in1k')
    assert path.endswith('/configs/eca_resnet/eca-resnet18-k3577_4xb64_in1k.py')
    assert config_path('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py').startswith('/')
    with pytest.raises(UserError, match='did you mean eca_mm::eca_resnet/eca-resnet18'):
        config_path('eca_mm::eca-resnet18-k3577_4xb64_in1k.py')
    with pytest.raises(UserError, match='is not installed'):
        load_config('nowhere::a/b.py')


def test_inputs_of_a_config(tmp_path):
    (tmp_path / 'data/train').mkdir(parents=True)
    (tmp_path / 'data/a.json').write_text('{}')
    (tmp_path / 'base.py').write_text(f'root = "{tmp_path}/data"\n')
    path = tmp_path / 'c.py'
    path.write_text(f'_base_ = "./base.py"\nmodel = dict(type="X")\nwork_dir = "{tmp_path}"\n'
                    f'loader = dict(dataset=dict(data_root="{tmp_path}/data", ann_file="a.json", '
                    'data_prefix=dict(img="train/")))')
    found = input_files(load_config(str(path), checked=False))
    assert {str(path), f'{tmp_path}/data', f'{tmp_path}/data/a.json',
            f'{tmp_path}/data/train/'} <= set(found)
    assert any(name.endswith('base.py') for name in found) and str(tmp_path) not in found


def test_other_packages_tools(capsys, monkeypatch):
    assert {'train', 'analysis_tools/browse_dataset'} <= set(other_tools('mmdet'))
    assert 'train' in other_tools('mmpretrain')
    with pytest.raises(UserError, match="did you mean 'analysis_tools/browse_dataset'"):
        run_other_tool('mmdet', 'brwse_dataset', [])
    assert find_other_tool('mmdet', 'browse_dataset').parent.name == 'analysis_tools'
    monkeypatch.setattr(sys, 'path', sys.path.copy())
    monkeypatch.setattr(sys, 'argv', ['run'])
    run_other_tool('mmdet', 'misc/print_config',
                   ['eca_mm::retinanet/retinanet_eca-r50_fpn_4xb2-1x_coco.py'])
    assert "type='ECAResNet'" in capsys.readouterr().out


def test_the_environment_is_described(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['python', 'env', '--json', 'env.json'])
    monkeypatch.setattr(command.grammar, 'called_as', None)
    with pytest.raises(SystemExit, match='0'):
        command.main()
    found = json.loads((tmp_path / 'env.json').read_text())
    assert {'eca_mm', 'Python', 'PyTorch', 'MMEngine', 'mmdet', 'mmcv operators'} <= set(found)
    assert f'mmdet: {found["mmdet"]}\n' in capsys.readouterr().out
