"""Checkpoints of mmengine, torch and safetensors are read; other files give a one-line error."""
import functools
import io
import os
import zipfile

import numpy as np
import pytest
import torch
from mmengine.runner import CheckpointLoader
from safetensors.torch import save_file

from eca_mm.compat import load_checkpoint_file
from eca_mm.utils.errors import UserError
from tests.support.hostile_files import (
    check_written_by_mmengine,
    dumped,
    legacy,
    written_by_mmengine,
    zipped,
)


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
def test_every_protocol_of_pickle_is_read(protocol, tmp_path):
    torch.save(written_by_mmengine(), tmp_path / 'good.pth', pickle_protocol=protocol)
    check_written_by_mmengine(load_checkpoint_file(tmp_path / 'good.pth'))


@pytest.mark.parametrize('new_format', [True, False], ids=['zip', 'legacy'])
@pytest.mark.parametrize('core', [b'numpy.core', b'numpy._core'])
def test_what_mmengine_writes_is_read(core, new_format, tmp_path):
    path = tmp_path / 'good.pth'
    torch.save(written_by_mmengine(), path, _use_new_zipfile_serialization=new_format)
    rename = functools.partial(rename_numpy, core=core)
    if new_format:
        with zipfile.ZipFile(path) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, 'w') as archive:
            for name, content in files.items():
                archive.writestr(name, rename(content) if name.endswith('.pkl') else content)
    else:
        path.write_bytes(rename(path.read_bytes()))
    assert core + b'.multiarray\n' in rename(dumped(np.float64(1)))
    check_written_by_mmengine(load_checkpoint_file(path))
    check_written_by_mmengine(CheckpointLoader.load_checkpoint(str(path)))


def test_modules_may_keep_anything_as_their_extra_state(tmp_path):
    content = {'state_dict': {'weight': torch.ones(1), 'scale._extra_state': {'steps': [1, 2]}}}
    torch.save(content, tmp_path / 'a.pth')
    assert load_checkpoint_file(tmp_path / 'a.pth') == content


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_a_device_that_there_is_not_is_not_the_file_s_fault(tmp_path):
    torch.save({'state_dict': {'weight': torch.ones(1)}}, tmp_path / 'a.pth')
    with pytest.raises(RuntimeError, match='CUDA') as caught:
        load_checkpoint_file(tmp_path / 'a.pth', 'cuda')
    assert not isinstance(caught.value, UserError)


def rename_numpy(content, core):
    for name in (b'numpy.core', b'numpy._core'):
        content = content.replace(b'c' + name + b'.multiarray\n', b'c' + core + b'.multiarray\n')
    return content


def test_safetensors(tmp_path):
    save_file({'w': torch.arange(3.0)}, tmp_path / 'w.safetensors')
    loaded = load_checkpoint_file(tmp_path / 'w.safetensors')
    assert list(loaded) == ['w'] and torch.equal(loaded['w'], torch.arange(3.0))
    (tmp_path / 'w.safetensors').write_bytes(b'no')
    with pytest.raises(UserError, match='w.safetensors is truncated or is not a checkpoint'):
        load_checkpoint_file(tmp_path / 'w.safetensors')


# ---- bad files ----

def truncated():
    file = io.BytesIO()
    torch.save(written_by_mmengine(), file)
    return file.getvalue()[:-200]


@pytest.mark.parametrize('content, said', [
    (b'', 'is empty'),
    (truncated(), 'is truncated or is not a checkpoint'),
    (legacy(dumped({}))[:40], 'is truncated or is not a checkpoint'),
    (b'<html><body>404</body></html>', 'is truncated or is not a checkpoint'),
    (b'\x89PNG\r\n\x1a\n' + bytes(100), 'is truncated or is not a checkpoint'),
    (b'config = dict(a=1)\nmodel = 2\n', 'is truncated or is not a checkpoint'),
    (zipped(dumped([1, 2])), 'holds a list'),
    (zipped(b'\x80\x02]'), 'is truncated or is not a checkpoint'),
    (zipped(dumped({}), 'archive/other'), 'is truncated or is not a checkpoint'),
])
def test_files_other_than_checkpoints(content, said, tmp_path):
    path = tmp_path / 'file.pth'
    path.write_bytes(content)
    with pytest.raises(UserError, match=said) as error:
        load_checkpoint_file(path)
    sentence = str(error.value)
    assert str(path) in sentence and '\n' not in sentence
    # torch's own text recommends to load the file without restriction.
    assert 'weights_only' not in sentence


def test_torchscript_is_not_run(tmp_path):
    path = tmp_path / 'script.pt'
    torch.jit.save(torch.jit.trace(torch.nn.ReLU(), torch.ones(1)), str(path))
    with pytest.raises(UserError, match='script.pt'):
        load_checkpoint_file(path)


def test_missing_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match='The checkpoint work/epoch_1.pth does not exist'):
        load_checkpoint_file('work/epoch_1.pth')
    with pytest.raises(UserError) as error:
        CheckpointLoader.load_checkpoint('checkpoints/eca-resnet50-k3557.pth')
    for part in ('checkpoints/eca-resnet50-k3557.pth', 'tools/train.py', 'convert',
                 'eca-resnet50-k3557_*', str(tmp_path)):
        assert part in str(error.value)
    with pytest.raises(UserError, match='is a directory'):
        load_checkpoint_file(tmp_path)


@pytest.mark.skipif(os.name != 'posix' or os.geteuid() == 0, reason='root may read every file')
def test_unreadable_files(tmp_path):
    path = tmp_path / 'file.pth'
    torch.save({}, path)
    path.chmod(0)
    with pytest.raises(UserError, match='permissions'):
        load_checkpoint_file(path)
