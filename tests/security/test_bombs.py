"""Small files that would take all memory or all time."""
import time
import tracemalloc

import pytest
import torch

from eca_mm.compat import load_checkpoint_file
from eca_mm.compat.safe_pickle import limits
from eca_mm.utils.errors import UserError
from tests.support.hostile_files import legacy, text, zipped


def doubled(first, make, levels=60):
    """Values of which each holds the one before twice."""
    return first + b'q\x00' + b''.join(make + b'q\x00' for _ in range(levels))


def nested(opening, closing, levels):
    return opening * levels + closing * levels


TUPLES = doubled(b')', b'h\x00\x86')
LISTS = b']q\x00' + b''.join(b'](h\x00h\x00eq\x00' for _ in range(60))
BOMBS = {
    'tuples of tuples': TUPLES,
    'tuples of tuples as a key': b'}' + TUPLES + b'K\x01s',
    'tuples of tuples in a set': b'\x8f(' + TUPLES + b'\x90',
    'tuples of tuples in a frozen set': b'(' + TUPLES + b'\x91',
    'tuples of tuples in a name': b'c__builtin__\ngetattr\n' + TUPLES + b'X\x01\x00\x00\x00a\x86R',
    'tuples of tuples called': TUPLES + b')R',
    'tuples of tuples as a state': b'ccollections\nOrderedDict\n)R' + TUPLES + b'b',
    'tuples of tuples as a storage': TUPLES + b'Q',
    'tuples of tuples as a name': TUPLES + b'X\x01\x00\x00\x00a\x93',
    'lists of lists': LISTS,
    'dicts of dicts': b'}q\x00' + b''.join(b'}(K\x00h\x00K\x01h\x00uq\x00' for _ in range(60)),
    'a long text many times': text('a' * 10**6) + b'q\x00](' + b'h\x00' * 10**4 + b'e',
    'deep tuples': b')' + b'\x85' * 10**5,
    'deep lists': nested(b'](', b'e', 10**5),
    'deep dicts': b'}(K\x00' * 10**4 + b'N' + b'u' * 10**4,
    'a list in itself': b']q\x00h\x00a',
    'a dict in itself': b'}q\x00K\x00h\x00s',
    'a tuple in itself': b']q\x00h\x00\x85a',
    'a text of 2**62 bytes': b'\x8d' + (2**62).to_bytes(8, 'little') + b'a',
    'bytes of 2**62': b'\x8e' + (2**62).to_bytes(8, 'little') + b'a',
    'a bytearray of 2**62': b'\x96' + (2**62).to_bytes(8, 'little') + b'a',
    'an integer of 2 GB': b'\x8b\xff\xff\xff\x7f1',
    'an integer of a negative length': b'\x8b\xff\xff\xff\xff1',
    'a text integer': b'L' + b'9' * 10**6 + b'L\n',
    'a bytearray by number': b'c__builtin__\nbytearray\n\x8a\x06' + bytes(5) + b'\x01\x85R',
    'a name of 2 MB': b'c' + b'a' * 2 * 10**6 + b'\nb\n',
    'a memo at the end of 32 bits': b'Nr\xff\xff\xff\xff0' * 10 + b']',
    'a frame of 2**62': b'\x95' + (2**62).to_bytes(8, 'little') + b']',
    'keys of one hash': b'}(' + b''.join(
        b'\x8a\x11' + ((2**61 - 1) * n).to_bytes(17, 'little') + b'N' for n in range(10**4)) + b'u',
}

NUMBERS = b'](' + b''.join(b'J' + n.to_bytes(4, 'little') for n in range(10**4)) + b'eq\x00'
# Instructions of a byte or two that take hundreds: more than the file may stand for.
MANY = {
    'sets': b'\x8f' * 2**18, 'sets in the memo': b'\x8f\x940' * 2**17 + b'}',
    'dicts': b'}' * 2**18, 'copies of a list': NUMBERS + b'c__builtin__\nset\nq\x01' + (
        b'h\x01h\x00\x85R' * 1000),
    'copies of a text': text('a' * 10**6) + b'q\x00c_codecs\nencode\nq\x01' + (
        b'h\x01h\x00X\x06\x00\x00\x00latin1\x86R' * 400),
}


@pytest.mark.parametrize('name', MANY)
def test_memory_is_bounded_while_reading(name, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, 'MAX_EXPANSION', 2**22)
    path = tmp_path / 'a.pth'
    path.write_bytes(zipped(b'\x80\x02' + MANY[name] + b'.'))
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match='parts that take more than'):
            load_checkpoint_file(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * limits.expansion_limit(path.stat().st_size)


@pytest.mark.parametrize('pack', [zipped, legacy])
@pytest.mark.parametrize('name', BOMBS)
def test_bombs_are_refused_with_one_line(name, pack, tmp_path):
    path = tmp_path / 'a.pth'
    path.write_bytes(pack(b'\x80\x02' + BOMBS[name] + b'.'))
    start = time.process_time()
    with pytest.raises(UserError) as caught:
        load_checkpoint_file(path)
    assert time.process_time() - start < 20, 'no bound on its time'
    if name.endswith(' in itself'):
        assert 'a container that contains itself' in str(caught.value)
    assert '\n' not in str(caught.value) and len(str(caught.value)) < 500


def test_tensors_that_grow_when_copied_are_refused(tmp_path):
    torch.save({'state_dict': {'w': torch.zeros(1).expand(10**6, 10**6)}}, tmp_path / 'a.pth')
    with pytest.raises(UserError, match='when each is copied'):
        load_checkpoint_file(tmp_path / 'a.pth')


def test_many_views_of_one_storage_are_refused(tmp_path):
    storage = torch.zeros(10**6)
    torch.save({f'w{index}': storage[:] for index in range(1000)}, tmp_path / 'a.pth')
    with pytest.raises(UserError, match='when each is copied'):
        load_checkpoint_file(tmp_path / 'a.pth')


def test_sharing_as_checkpoints_do_it_is_read(tmp_path):
    weight, names = torch.zeros(1000), ['a' * 10] * 1000
    content = {'state_dict': {'a': weight, 'b': weight}, 'meta': {'a': [names] * 50}, 'optimizer': {
        'state': {0: {'step': 1}}, 'param_groups': [{'params': list(range(1000))}] * 20}}
    torch.save(content, tmp_path / 'a.pth')
    loaded = load_checkpoint_file(tmp_path / 'a.pth')
    assert loaded['meta'] == content['meta'] and loaded['meta']['a'][0] is loaded['meta']['a'][1]
    assert loaded['state_dict']['a'].data_ptr() == loaded['state_dict']['b'].data_ptr()
