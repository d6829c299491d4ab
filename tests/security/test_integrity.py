"""Weights that are not what they seem: changed files, NaN, other kinds of numbers."""
import hashlib
import sys

import pytest
import torch
from safetensors.torch import save_file

from eca_mm.checkpoints.publishing import publish, published_weights
from eca_mm.compat import load_checkpoint_file
from eca_mm.deploy.metadata import load_weights
from eca_mm.utils.errors import UserError
from tests.support import samples
from tests.support.processes import run_tool


@pytest.mark.parametrize('ending', ['.pth', '.safetensors'])
def test_published_files_are_checked_by_their_names(ending, tmp_path):
    path = publish({'state_dict': {'w': torch.ones(3)}}, tmp_path / f'a{ending}')
    loaded = load_checkpoint_file(path)
    assert torch.equal(loaded.get('state_dict', loaded)['w'], torch.ones(3))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match='SHA-256 begins with .* rename it if these digits'):
        load_checkpoint_file(path)
    (tmp_path / 'renamed.safetensors').write_bytes(content)
    if ending == '.safetensors':
        load_checkpoint_file(tmp_path / 'renamed.safetensors')


@pytest.mark.parametrize('name', ['a-20260131.pth', 'a-1234567.pth', 'a-123456789.pth',
                                  'a_12345678.pth', 'a-1234567g.pth', 'a-DEADBEEF.pth'])
def test_other_names_hold_no_hash(name, tmp_path):
    torch.save({'w': torch.ones(1)}, tmp_path / name)
    load_checkpoint_file(tmp_path / name)


def test_names_of_torchvision_hold_the_hash_of_their_content(tmp_path):
    torch.save({'w': torch.ones(1)}, tmp_path / 'a.pth')
    digits = hashlib.sha256((tmp_path / 'a.pth').read_bytes()).hexdigest()[:8]
    (tmp_path / 'a.pth').rename(tmp_path / f'resnet50-{digits}.pth')
    load_checkpoint_file(tmp_path / f'resnet50-{digits}.pth')


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_nan_is_not_published_or_exported(value, tmp_path):
    weights = {'state_dict': {'a.weight': torch.ones(2), 'b.weight': torch.tensor([1, value])}}
    with pytest.raises(UserError, match=r'NaN or infinite values in 1 of its weights \(b.weight\)'):
        published_weights(weights)
    with pytest.raises(UserError, match='b.weight'):
        publish(weights, tmp_path / 'a.pth')
    torch.save(weights, tmp_path / 'b.pth')
    with pytest.raises(UserError, match='b.weight'):
        load_weights(torch.nn.Identity(), str(tmp_path / 'b.pth'))
    assert [path.name for path in tmp_path.iterdir()] == ['b.pth']


@pytest.mark.slow
def test_testing_names_the_weights_that_are_nan(tmp_path):
    from mmengine.config import Config

    from eca_mm.analysis import build_model
    samples.draw_classes(tmp_path / 'classes')
    config = samples.write_config(tmp_path / 'cls.py', samples.CLASSIFICATION, tmp_path / 'classes')
    weights = build_model(Config.fromfile(config)).state_dict()
    weights['head.fc.bias'][0] = float('nan')
    torch.save({'state_dict': weights}, tmp_path / 'a.pth')
    result = run_tool(tmp_path, 'test.py', config, 'a.pth')
    assert 'NaN or infinite values in 1 of its weights (head.fc.bias)' in (
        result.stdout + result.stderr)


@pytest.mark.parametrize('dtype', [torch.int64, torch.uint8, torch.bool, torch.complex64])
@pytest.mark.parametrize('entry', ['state_dict', 'model', None])
def test_other_numbers_are_refused_by_name_wherever_a_file_is_read(dtype, entry, tmp_path):
    weights = {'conv.weight': torch.ones(2).to(dtype), 'bn.num_batches_tracked': torch.tensor(3)}
    torch.save({entry: weights} if entry else weights, tmp_path / 'a.pth')
    name = str(dtype).removeprefix('torch.')
    with pytest.raises(UserError, match=f'its conv.weight is of the type {name}'):
        load_checkpoint_file(tmp_path / 'a.pth')
    other = {'index': weights['conv.weight']}
    torch.save({entry: other} if entry else other, tmp_path / 'b.pth')
    if dtype.is_complex:
        with pytest.raises(UserError, match='its index is of the type complex64'):
            load_checkpoint_file(tmp_path / 'b.pth')
    else:
        load_checkpoint_file(tmp_path / 'b.pth')


def safetensors(header, content=b''):
    header = header if isinstance(header, bytes) else header.encode()
    return len(header).to_bytes(8, 'little') + header + content


def entry(offsets='[0, 4]', shape='[1]', dtype='F32'):
    return f'{{"w": {{"dtype": "{dtype}", "shape": {shape}, "data_offsets": {offsets}}}}}'


@pytest.mark.parametrize('content', [
    b'', b'\x01', bytes(8), b'\xff' * 8, b'\xff' * 7 + b'\x7f{}', safetensors('{'),
    safetensors('[]', bytes(4)), safetensors('null'), safetensors('{"w": 1}'),
    safetensors(b'{"\xff": 1}'), safetensors('{"a": ' * 10**4 + '1' + '}' * 10**4),
    safetensors(entry('[0, 8]'), bytes(4)), safetensors(entry('[-4, 0]'), bytes(4)),
    safetensors(entry('[4, 0]'), bytes(4)), safetensors(entry('[0, 4]', '[9]'), bytes(4)),
    safetensors(entry('[0, 4]', '[4611686018427387904, 4]'), bytes(4)),
    safetensors(entry('[0, 4]', '[-1]'), bytes(4)), safetensors(entry(dtype='O'), bytes(4)),
    safetensors(entry() + ' ' * 10**6, bytes(8)), safetensors(entry(), bytes(3)),
    (2**40).to_bytes(8, 'little') + b'{}', bytes(10**5),
], ids=lambda content: f'{len(content)} bytes')
def test_malformed_safetensors_are_refused_with_one_line(content, tmp_path):
    path = tmp_path / 'a.safetensors'
    path.write_bytes(content)
    with pytest.raises(UserError, match='a.safetensors') as caught:
        load_checkpoint_file(path)
    assert '\n' not in str(caught.value) and len(str(caught.value)) < 600


def test_files_of_another_format_than_their_name(tmp_path):
    save_file({'w': torch.ones(1)}, tmp_path / 'a.pth')
    torch.save({'w': torch.ones(1)}, tmp_path / 'a.safetensors')
    for name in ('a.pth', 'a.safetensors'):
        with pytest.raises(UserError, match='is truncated or is not a checkpoint'):
            load_checkpoint_file(tmp_path / name)


@pytest.mark.skipif(sys.platform == 'win32', reason='no pipes in the file system')
def test_pipes_and_devices_are_not_opened(tmp_path):
    import os
    os.mkfifo(tmp_path / 'pipe.pth')
    for path in (tmp_path / 'pipe.pth', '/dev/zero'):
        with pytest.raises(UserError, match='is a pipe or a device'):
            load_checkpoint_file(path)
