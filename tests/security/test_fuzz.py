"""Random pickles: what ours accepts is what pickle itself would have built."""
import io
import pickle
import pickletools
import random
import struct
from collections import Counter, OrderedDict

import pytest
import torch

from eca_mm.compat import load_checkpoint_file
from eca_mm.compat.safe_pickle import scan, unpickler
from eca_mm.utils.errors import UserError
from tests.support.hostile_files import legacy, written_by_mmengine, zipped

NAMES = {('collections', 'OrderedDict'): OrderedDict, ('collections', 'Counter'): Counter,
         ('builtins', 'set'): set, ('builtins', 'complex'): complex,
         ('__builtin__', 'bytearray'): bytearray, ('__builtin__', 'set'): set}


class Reference(pickle.Unpickler):
    """pickle's own, compiled unpickler, with the harmless ones of the names."""

    def find_class(self, module, name):
        return NAMES[module, name]


def values(rng):
    """Instructions that push one plain value, in several spellings."""
    number, text = rng.randrange(256), rng.choice(['', 'a', 'ab', 'é', '_metadata'])
    encoded = text.encode()
    return rng.choice([
        b'N', b'\x88', b'\x89', b'K' + bytes([number]), b'M' + struct.pack('<H', number),
        b'J' + struct.pack('<i', -number), b'I%d\n' % number, b'I01\n', b'L%dL\n' % number,
        b'\x8a\x01' + bytes([number]), b'\x8a\x00', b'\x8b\x01\x00\x00\x00' + bytes([number]),
        b'F%d.5\n' % number, b'G' + struct.pack('>d', number / 4),
        b'X' + struct.pack('<I', len(encoded)) + encoded, b'\x8c' + bytes([len(encoded)]) + encoded,
        b'\x8d' + struct.pack('<Q', len(encoded)) + encoded, b"S'a'\n", b'U\x01a', b'Va\n',
        b'C\x02ab', b'B\x01\x00\x00\x00a', b'\x8e' + struct.pack('<Q', 1) + b'a',
        b'\x96' + struct.pack('<Q', 2) + b'ab', b']', b'}', b')', b'\x8f',
        b'c%s\n%s\n' % tuple(part.encode() for part in rng.choice(list(NAMES)))])


OPERATIONS = [b'(', b'0', b'1', b'2', b'a', b'e', b's', b'u', b'l', b't', b'd', b'\x85', b'\x86',
              b'\x87', b'\x90', b'\x91', b'\x93', b'\x94', b'R', b'b', b'\x81', b'h\x00', b'h\x01',
              b'q\x00', b'q\x01', b'j\x01\x00\x00\x00', b'r\x01\x00\x00\x00', b'p0\n', b'g0\n',
              b'(e', b'(u', b'(\x90', b'(t', b'(l', b'(d', b'(1', b'(0', b')R', b'}b', b'Na',
              b'(NNe', b'(K\x01Nu', b'K\x02Ns', b'\x95' + bytes(8), b'\x80\x02']
# Pieces that keep the stack sound, so that long streams get through.
PIECES = [
    lambda a, b: a + b + b'\x86',
    lambda a, b: a + b'\x85',
    lambda a, b: a + b'0' + b,
    lambda a, b: a + b'2\x86',
    lambda a, b: a + b'\x94' + b + b'\x86',
    lambda a, b: a + b'q\x00h\x00\x86' + b + b'\x86',
    lambda a, b: b']' + a + b'a',
    lambda a, b: b'](' + a + b + b'e',
    lambda a, b: b'](e' + a + b'a',
    lambda a, b: b'}(uK\x01' + a + b's',
    lambda a, b: b'(' + a + b + b'l',
    lambda a, b: b'(' + a + b + b't',
    lambda a, b: b'(K\x01' + a + b'd',
    lambda a, b: b'(' + a + b'1' + b,
    lambda a, b: b'\x8f(K\x01K\x02\x90(\x90',
    lambda a, b: b'(K\x01K\x02\x91' + a + b'\x86',
    lambda a, b: b'ccollections\nOrderedDict\n)R(K\x01' + a + b'u',
    lambda a, b: b'ccollections\nCounter\n}K\x01K\x02s\x85R',
    lambda a, b: b'c__builtin__\nset\n](K\x01K\x02e\x85R',
]


def stream(rng):
    """A random pickle: any instructions, or such that mostly fit together."""
    if rng.random() < .4:
        return b''.join(values(rng) if rng.random() < .5 else rng.choice(OPERATIONS)
                        for _ in range(rng.randrange(1, 12))) + b'.'
    content = values(rng)
    for _ in range(rng.randrange(6)):
        content = rng.choice(PIECES)(content, values(rng))
    if rng.random() < .3:
        position = rng.randrange(len(content) + 1)
        content = content[:position] + rng.choice(OPERATIONS) + content[position:]
    return content + b'.'


def outcome(load, data):
    file = io.BytesIO(data + b'behind')
    try:
        value = load(file)
    except Exception as error:  # noqa: BLE001  pickle raises of any kind
        return error
    return value, file.tell()


def same(ours, theirs):
    if type(ours) is not type(theirs):
        return False
    if isinstance(ours, dict):
        return len(ours) == len(theirs) and all(
            same(*pair) for pair in zip(ours.items(), theirs.items(), strict=True))
    if isinstance(ours, (list, tuple)):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return ours == theirs


def fuzz(seed, count):
    rng, accepted = random.Random(seed), 0
    for number in range(count):
        data = stream(rng)
        ours = outcome(scan, data)
        loaded = outcome(unpickler.load, data)
        if isinstance(ours, Exception):
            continue
        reference = outcome(lambda file: Reference(file, encoding='utf-8').load(), data)
        assert not isinstance(reference, Exception), (seed, number, data, ours, reference)
        assert same(ours[0], reference[0]) and same(loaded[0], reference[0]), (seed, number, data)
        # Both end at the same instruction, and so does Python's own table of them.
        last = [position for _, _, position in pickletools.genops(data)][-1]
        assert ours[1] == last + 1 == len(data), (seed, number, data)
        accepted += 1
    return accepted


def test_random_pickles_are_read_as_by_pickle():
    assert fuzz(0, 3000) > 500


@pytest.mark.slow
def test_100_000_random_pickles_are_read_as_by_pickle():
    assert sum(fuzz(seed, 10_000) for seed in range(1, 11)) > 20_000


def corrupted(seed, count, path):
    """Random changes in whole files end in a value or a sentence, nothing else."""
    rng = random.Random(seed)
    whole = [pack(pickle.dumps({'meta': {'a': (1, 'b', [2.5, None])}, 'state_dict': OrderedDict()},
                               protocol)) for pack in (zipped, legacy) for protocol in (0, 2, 4)]
    for new_format in (True, False):
        file = io.BytesIO()
        torch.save(written_by_mmengine(), file, _use_new_zipfile_serialization=new_format)
        whole.append(file.getvalue())
    refused = 0
    for _ in range(count):
        data = bytearray(rng.choice(whole))
        for _ in range(rng.choice([1, 1, 2, 8])):
            position = rng.randrange(len(data))
            data[position:position + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        path.write_bytes(data)
        try:
            load_checkpoint_file(path)
        except UserError as error:
            assert '\n' not in str(error) and len(str(error)) < 600
            refused += 1
    return refused


def test_random_changes_of_files_give_one_line_errors(tmp_path):
    assert corrupted(0, 300, tmp_path / 'a.pth') > 100


@pytest.mark.slow
def test_20_000_random_changes_of_files_give_one_line_errors(tmp_path):
    assert corrupted(1, 20_000, tmp_path / 'a.pth') > 5_000
