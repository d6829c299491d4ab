"""The command line that all converters share, by the one of timm's weights."""
import os

import pytest
import timm
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from eca_mm.compat import load_checkpoint_file
from tests.support.processes import run_tool

TOOL = 'model_converters/timm_to_eca_mm.py'


@pytest.fixture
def source(tmp_path):
    path = tmp_path / 'src.pth'
    torch.save(timm.create_model('ecaresnet26t').state_dict(), path)
    return path


def test_converts_and_names_the_config(tmp_path, source):
    before = source.read_bytes()
    result = run_tool(tmp_path, TOOL, source, 'new/dst.safetensors')
    assert result.returncode == 0, result.stderr
    assert 'All 196 weights of the model match.' in result.stdout
    assert 'configs/timm_eca_resnet/eca-resnet26t_8xb32_in1k.py' in result.stdout
    assert os.listdir(tmp_path / 'new') == ['dst.safetensors']
    weights = load_checkpoint_file(tmp_path / 'new/dst.safetensors')
    assert torch.equal(weights['backbone.stem.0.conv.weight'],
                       load_checkpoint_file(source)['conv1.0.weight'])
    assert source.read_bytes() == before


def test_writes_the_config_that_we_lack(tmp_path):
    model = timm.create_model('ecaresnet26t', num_classes=7)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'src.pth')
    result = run_tool(tmp_path, TOOL, 'src.pth', 'dst.pth')
    assert result.returncode == 0, result.stderr
    assert 'dst.py changes configs/timm_eca_resnet/eca-resnet26t_8xb32_in1k.py' in result.stdout
    config = Config.fromfile(tmp_path / 'dst.py')
    assert config.data_preprocessor.num_classes == 7
    checkpoint = load_checkpoint_file(tmp_path / 'dst.pth')
    assert checkpoint['meta']['config'] == 'dst.py'
    MODELS.build(config.model).load_state_dict(checkpoint['state_dict'], strict=True)

    (tmp_path / 'dst.pth').unlink()
    again = run_tool(tmp_path, TOOL, 'src.pth', 'dst.pth')
    assert again.returncode == 1 and 'dst.py exists already' in again.stderr
    assert not (tmp_path / 'dst.pth').exists()


def test_dry_run_shows_the_names_and_writes_nothing(tmp_path, source):
    (tmp_path / 'dst.pth').write_bytes(b'mine')
    result = run_tool(tmp_path, TOOL, source, 'dst.pth', '--dry-run')
    assert result.returncode == 0, result.stderr
    row, = (line for line in result.stdout.splitlines() if 'layer1.0.se.conv.weight' in line)
    assert 'backbone.layer1.0.eca.conv.weight' in row and '1 x 1 x 5' in row
    assert (tmp_path / 'dst.pth').read_bytes() == b'mine'
    refused = run_tool(tmp_path, TOOL, source, 'dst.pth')
    assert refused.returncode == 1 and 'give --overwrite' in refused.stderr
    assert (tmp_path / 'dst.pth').read_bytes() == b'mine'


def test_misfit_ends_in_a_table(tmp_path, source):
    weights = load_checkpoint_file(source)
    del weights['layer3.0.bn1.weight']
    weights['aux.bias'] = torch.ones(2)
    torch.save(weights, source)
    result = run_tool(tmp_path, TOOL, source, 'dst.pth')
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    for kind, number, name in (('matched', '195', ''), ('missing', '1', 'layer3.0.bn1.weight'),
                               ('unexpected', '1', 'aux.bias'), ('wrong shape', '0', '')):
        row, = (line for line in result.stdout.splitlines() if line.split('│')[1:2] and
                line.split('│')[1].strip() == kind)
        assert row.split('│')[2].strip() == number and name in row
    assert not (tmp_path / 'dst.pth').exists()
