"""The command line of the converter of plain weights."""
import os

import pytest
import torch
import torchvision

from eca_mm.compat import load_checkpoint_file
from tests.support.processes import run_tool

TOOL = 'model_converters/torchvision_to_eca_mm.py'


@pytest.fixture
def source(tmp_path):
    path = tmp_path / 'src.pth'
    torch.save(torchvision.models.resnet18().state_dict(), path)
    return path


def test_converts(tmp_path, source):
    before = source.read_bytes()
    result = run_tool(tmp_path, TOOL, source, 'new/dst.pth')
    assert result.returncode == 0, result.stderr
    assert 'All 122 weights match: 120 of the backbone, 2 of the classifier.' in result.stdout
    weights = load_checkpoint_file(tmp_path / 'new' / 'dst.pth')['state_dict']
    original = load_checkpoint_file(source)
    assert torch.equal(weights['backbone.layer4.1.conv2.weight'], original['layer4.1.conv2.weight'])
    assert torch.equal(weights['head.fc.bias'], original['fc.bias'])
    assert source.read_bytes() == before


def test_keeps_what_exists(tmp_path, source):
    target = tmp_path / 'dst.pth'
    target.write_bytes(b'mine')
    result = run_tool(tmp_path, TOOL, source, target)
    assert result.returncode == 1
    assert result.stderr == (f'{target} exists already; give --overwrite to replace it, or another '
                             'path.\n')
    assert target.read_bytes() == b'mine'
    dry = run_tool(tmp_path, TOOL, source, target, '--dry-run')
    assert dry.returncode == 0 and 'All 122 weights match' in dry.stdout
    assert target.read_bytes() == b'mine'
    forced = run_tool(tmp_path, TOOL, source, target, '--force')
    assert forced.returncode == 0 and '--force is deprecated' in forced.stderr
    assert load_checkpoint_file(target)['state_dict']


def test_never_writes_over_its_source(tmp_path, source):
    before = source.read_bytes()
    (tmp_path / 'link.pth').symlink_to(source)
    result = run_tool(tmp_path, TOOL, source, 'link.pth', '--overwrite')
    assert result.returncode == 1 and 'is the file to read' in result.stderr
    assert source.read_bytes() == before


class Harmful:
    def __reduce__(self):
        return os.mkdir, ('harmed',)


def test_code_in_the_file_is_not_run(tmp_path):
    torch.save(dict(weight=Harmful()), tmp_path / 'src.pth')
    result = run_tool(tmp_path, TOOL, 'src.pth', 'dst.pth')
    assert result.returncode == 1 and len(result.stderr.splitlines()) == 1
    assert not (tmp_path / 'harmed').exists() and not (tmp_path / 'dst.pth').exists()


def test_misuse_and_help(tmp_path, source):
    assert run_tool(tmp_path, TOOL, source).returncode == 2
    shown = run_tool(tmp_path, TOOL, '--help')
    assert shown.returncode == 0 and 'example: ' in shown.stdout
    missing = run_tool(tmp_path, TOOL, 'none.pth', 'dst.pth')
    assert missing.returncode == 1 and 'none.pth' in missing.stderr
