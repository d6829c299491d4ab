"""Crafted files, read by torch's own restricted loader and by the scanning one of older torch."""
import functools
import http.server
import io
import os
import pickle
import tarfile
import threading
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from safetensors.torch import save_file

from eca_mm.compat import load_checkpoint_file, pickle_scan, safe_load
from eca_mm.utils.errors import UserError

pytestmark = pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::FutureWarning',
                                        'ignore::DeprecationWarning')


@pytest.fixture(params=['torch', 'scan'])
def loader(request, monkeypatch):
    """load_checkpoint_file as it is, and as it is on torch < 2.6."""
    if request.param == 'scan':
        monkeypatch.setattr(safe_load, 'TORCH_RESTRICTS', False)
    elif not safe_load.TORCH_RESTRICTS:
        pytest.skip('this torch has no restricted loading of its own')
    return load_checkpoint_file


# ---- payloads: each makes the directory `marker` when it is unpickled without restraint ----

class Call:
    """Pickles as the call of a function, which may itself be the result of such a call."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args

    def __call__(self):
        raise AssertionError('only there because pickle wants callables')


def dumped(value, protocol=2):
    return pickle.dumps(value, protocol)


def text(value):
    return b'V' + value.encode() + b'\n'


def short(value):
    return b'\x8c' + bytes([len(value)]) + value.encode()


def through_globals(marker):
    scope = Call(getattr, HistoryBuffer.mean, '__globals__')
    builtins = Call(Call(getattr, scope, 'get'), '__builtins__')
    execute = Call(Call(getattr, builtins, 'get'), 'exec')
    return dumped(Call(execute, f'import os; os.mkdir({marker!r})'))


def as_bytes(marker):
    # The bytes of a file within the file, which torch's helper loads without restraint.
    return dumped(Call(torch.storage._load_from_bytes, legacy(dumped(Call(os.mkdir, marker)))))


PAYLOADS = {
    'os.system': lambda m: dumped(Call(os.system, f'mkdir "{m}"')),
    'os.mkdir': lambda m: dumped(Call(os.mkdir, m)),
    'exec': lambda m: dumped(Call(exec, f'import os; os.mkdir({m!r})')),
    'eval': lambda m: dumped(Call(eval, f'__import__("os").mkdir({m!r})')),
    'exec, protocol 4': lambda m: dumped(Call(exec, f'import os; os.mkdir({m!r})'), 4),
    'partial': lambda m: dumped(Call(functools.partial(os.mkdir, m))),
    'getattr': lambda m: (
        b'\x80\x02c__builtin__\ngetattr\n(c__builtin__\n__import__\n(' + text('os') + b'tR'
        + text('mkdir') + b'tR(' + text(m) + b'tR.'),
    'getattr to __globals__': through_globals,
    'GLOBAL, protocol 0': lambda m: b'cos\nmkdir\n(' + text(m) + b'tR.',
    'INST': lambda m: b'(' + text(m) + b'ios\nmkdir\n.',
    'OBJ': lambda m: b'(cos\nmkdir\n' + text(m) + b'o.',
    'NEWOBJ': lambda m: (b'\x80\x02cfunctools\npartial\n(cos\nmkdir\n' + text(m)
                         + b't\x81)R.'),
    'STACK_GLOBAL through memo': lambda m: (
        b'\x80\x04' + short('os') + b'\x94' + short('mkdir') + b'\x9400h\x00h\x01\x93('
        + text(m) + b'tR.'),
    'hidden behind a tensor': lambda m: dumped(
        OrderedDict(weight=np.ones(3), other=Call(os.mkdir, m))),
    'bytes of a file': as_bytes,
}


def zipped(payload, name='archive/data.pkl'):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr(name, payload)
        archive.writestr('archive/byteorder', 'little')
        archive.writestr('archive/version', '3\n')
    return file.getvalue()


def legacy(payload):
    """The format of torch before 1.6: several pickles in a row."""
    head = [torch.serialization.MAGIC_NUMBER, torch.serialization.PROTOCOL_VERSION,
            {'protocol_version': 1001, 'little_endian': True, 'type_sizes': {}}]
    return b''.join(map(dumped, head)) + payload + dumped([])


def tarred(payload):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode='w') as archive:
        for name, content in (('storages', payload), ('tensors', payload), ('pickle', payload)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize('name', PAYLOADS)
def test_the_payloads_are_real(name, tmp_path):
    marker = tmp_path / 'marker'
    pickle.loads(PAYLOADS[name](str(marker)))
    assert marker.is_dir()


@pytest.mark.parametrize('pack', [zipped, legacy, tarred])
@pytest.mark.parametrize('name', PAYLOADS)
def test_code_is_refused_and_does_not_run(name, pack, loader, tmp_path):
    marker, path = tmp_path / 'marker', tmp_path / 'bad.pth'
    path.write_bytes(pack(PAYLOADS[name](str(marker))))
    with pytest.raises(UserError) as error:
        loader(path)
    assert not marker.exists()
    sentence = str(error.value)
    assert str(path) in sentence and '\n' not in sentence
    if pack is not tarred:
        assert 'was refused because its pickle asks for' in sentence


@pytest.mark.parametrize('name, found', [
    ('os.system', 'posix.system'), ('exec', 'builtins.exec'), ('partial', 'functools.partial'),
    ('STACK_GLOBAL through memo', 'os.mkdir'), ('INST', 'os.mkdir'),
    ('getattr to __globals__', 'builtins.getattr'), ('bytes of a file', '_load_from_bytes'),
])
def test_the_sentence_names_what_was_found(name, found, loader, tmp_path):
    path = tmp_path / 'bad.pth'
    path.write_bytes(zipped(PAYLOADS[name](str(tmp_path / 'marker'))))
    with pytest.raises(UserError, match=found):
        loader(path)


def test_through_mmengine_too(loader, tmp_path):
    path = tmp_path / 'bad.pth'
    path.write_bytes(zipped(PAYLOADS['exec'](str(tmp_path / 'marker'))))
    with pytest.raises(UserError, match='builtins.exec'):
        CheckpointLoader.load_checkpoint(str(path))
    assert not (tmp_path / 'marker').exists()


def test_a_second_pickle_of_the_same_name_does_not_help(loader, tmp_path):
    marker, path = tmp_path / 'marker', tmp_path / 'bad.pth'
    bad = PAYLOADS['exec'](str(marker))
    for first, second in ((bad, dumped({})), (dumped({}), bad)):
        with zipfile.ZipFile(path, 'w') as archive, pytest.warns(UserWarning, match='Duplicate'):
            archive.writestr('archive/data.pkl', first)
            archive.writestr('archive/data.pkl', second)
            archive.writestr('archive/version', '3\n')
        try:
            assert loader(path) == {}
        except UserError:
            pass
        assert not marker.exists()


@pytest.mark.parametrize('change', [
    # HistoryBuffer's own attribute, and an extension number of copyreg.
    b'\x80\x02cmmengine.logging.history_buffer\nHistoryBuffer\nN}U\x04meanK\x01s\x86b.',
    b'\x80\x02\x82\x01.',
    # Names that are computed, and calls of what is computed.
    b'\x80\x04N\x8c\x01a\x93.',
    b'\x80\x02N)R.',
], ids=['change of a class', 'extension', 'computed name', 'computed call'])
def test_other_tricks_are_refused(change, loader, tmp_path):
    path = tmp_path / 'bad.pth'
    path.write_bytes(zipped(change))
    mean = HistoryBuffer.mean
    with pytest.raises(UserError, match='asks for'):
        loader(path)
    assert HistoryBuffer.mean is mean


def test_the_stand_in_for_getattr_gives_nothing_else():
    assert pickle_scan.only_saved_methods(HistoryBuffer, 'mean') is HistoryBuffer.mean
    for owner, name in ((HistoryBuffer, '__init__'), (HistoryBuffer, 'update'), (os, 'system'),
                        (HistoryBuffer.mean, '__globals__'), (object(), 'mean')):
        with pytest.raises(pickle.UnpicklingError):
            pickle_scan.only_saved_methods(owner, name)
    assert getattr not in pickle_scan.MMENGINE_GLOBALS.values()


# ---- what must load ----

def written_by_mmengine():
    buffer = HistoryBuffer([1.0, 2.5], [1, 2])
    return dict(
        meta=dict(epoch=1, time='now', dataset_meta=dict(classes=('a', 'b'))),
        state_dict=OrderedDict(w=torch.arange(6.0).reshape(2, 3), h=torch.ones(2).bfloat16(),
                               n=torch.tensor(3)),
        message_hub=dict(log_scalars=OrderedDict(loss=buffer),
                         runtime_info=OrderedDict(best=np.float64(0.5), n=np.int64(7),
                                                  f=np.float32(0.25), ok=np.bool_(True))),
        param_schedulers=[dict(milestones=Counter([2, 3]))],
    )


def check_written_by_mmengine(loaded):
    for name, tensor in written_by_mmengine()['state_dict'].items():
        assert torch.equal(loaded['state_dict'][name], tensor)
    buffer = loaded['message_hub']['log_scalars']['loss']
    assert buffer.mean() == 3.5 / 3 and buffer.statistics('max') == 2.5
    assert loaded['message_hub']['runtime_info'] == dict(best=0.5, n=7, f=0.25, ok=True)
    assert loaded['param_schedulers'][0]['milestones'] == Counter([2, 3])


@pytest.mark.parametrize('new_format', [True, False], ids=['zip', 'legacy'])
@pytest.mark.parametrize('core', [b'numpy.core', b'numpy._core'])
def test_what_mmengine_writes_is_read(core, new_format, loader, tmp_path):
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
    check_written_by_mmengine(loader(path))
    check_written_by_mmengine(CheckpointLoader.load_checkpoint(str(path)))


def rename_numpy(content, core):
    for name in (b'numpy.core', b'numpy._core'):
        content = content.replace(b'c' + name + b'.multiarray\n', b'c' + core + b'.multiarray\n')
    return content


def test_torch_itself_reads_what_mmengine_writes(tmp_path):
    torch.save(written_by_mmengine(), tmp_path / 'good.pth')
    check_written_by_mmengine(torch.load(tmp_path / 'good.pth'))


def test_safetensors(tmp_path):
    save_file({'w': torch.arange(3.0)}, tmp_path / 'w.safetensors')
    loaded = load_checkpoint_file(tmp_path / 'w.safetensors')
    assert list(loaded) == ['w'] and torch.equal(loaded['w'], torch.arange(3.0))
    (tmp_path / 'w.safetensors').write_bytes(b'no')
    with pytest.raises(UserError, match='w.safetensors is truncated or is not a checkpoint'):
        load_checkpoint_file(tmp_path / 'w.safetensors')


@pytest.fixture
def server(tmp_path):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


def test_downloads_are_read_as_safely(loader, server, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    torch.save(written_by_mmengine(), tmp_path / 'good.pth')
    check_written_by_mmengine(CheckpointLoader.load_checkpoint(f'{server}/good.pth'))
    (tmp_path / 'bad.pth').write_bytes(legacy(PAYLOADS['exec'](str(tmp_path / 'marker'))))
    with pytest.raises(UserError, match='builtins.exec'):
        CheckpointLoader.load_checkpoint(f'{server}/bad.pth')
    assert not (tmp_path / 'marker').exists()


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
def test_what_is_no_checkpoint(content, said, loader, tmp_path):
    path = tmp_path / 'file.pth'
    path.write_bytes(content)
    with pytest.raises(UserError, match=said) as error:
        loader(path)
    sentence = str(error.value)
    assert str(path) in sentence and '\n' not in sentence
    # torch's own text recommends to load the file without restriction.
    assert 'weights_only' not in sentence


def test_torchscript_is_not_run(loader, tmp_path):
    path = tmp_path / 'script.pt'
    torch.jit.save(torch.jit.trace(torch.nn.ReLU(), torch.ones(1)), str(path))
    with pytest.raises(UserError, match='script.pt'):
        loader(path)


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
