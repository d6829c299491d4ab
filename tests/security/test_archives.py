"""Zip archives that are damaged, hide a second content, or grow."""
import io
import struct
import warnings
import zipfile

import pytest
import torch

from eca_mm.compat import load_checkpoint_file
from eca_mm.compat.archive import BrokenArchive, open_archive
from eca_mm.utils.errors import UserError
from tests.support.hostile_files import dumped, zipped


def saved(**options):
    file = io.BytesIO()
    torch.save({'w': torch.arange(1000.)}, file, **options)
    return bytearray(file.getvalue())


def refused(tmp_path, content, match):
    path = tmp_path / 'a.pth'
    path.write_bytes(content)
    with pytest.raises(UserError, match=match) as caught:
        load_checkpoint_file(path)
    assert '\n' not in str(caught.value)


def scripted():
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.jit.save(torch.jit.trace(torch.nn.ReLU(), torch.ones(1)), file)
    return file.getvalue()


def test_a_flipped_bit_anywhere_in_a_weight_is_found(tmp_path):
    content = saved()
    start = content.index(torch.arange(1000.).numpy().tobytes()[:400])
    for offset in (0, 3, 1999, 3999):
        changed = bytearray(content)
        changed[start + offset] ^= 0x40
        refused(tmp_path, changed, 'checksum|not a checkpoint')


def test_a_flipped_bit_in_the_directory_is_found_or_harmless(tmp_path):
    content = saved()
    end = content.rindex(b'PK\x01\x02', 0, content.rindex(b'PK\x05\x06'))
    for position in range(end, len(content)):
        changed = bytearray(content)
        changed[position] ^= 0x04
        (tmp_path / 'a.pth').write_bytes(changed)
        try:
            loaded = load_checkpoint_file(tmp_path / 'a.pth')
        except UserError:
            continue
        assert torch.equal(loaded['w'], torch.arange(1000.)), position


def test_archives_without_checksums_are_read(tmp_path):
    setting = getattr(torch.serialization, 'set_crc32_options', None)
    if setting is None:
        pytest.skip('this torch always writes checksums')
    setting(False)
    try:
        (tmp_path / 'a.pth').write_bytes(saved())
    finally:
        setting(True)
    assert torch.equal(load_checkpoint_file(tmp_path / 'a.pth')['w'], torch.arange(1000.))


def with_directory_of(archive, other, comment=b''):
    """An archive behind another one: readers that search from elsewhere find the other."""
    return bytes(other) + bytes(archive) + comment


def hidden(inner, outer):
    """`inner` as the comment of `outer`: the last end record in the file is the inner one's."""
    outer = bytearray(outer)
    end = outer.rindex(b'PK\x05\x06')
    outer[end + 20:end + 22] = struct.pack('<H', len(inner))
    return bytes(outer) + bytes(inner)


@pytest.mark.parametrize('make', [
    lambda good, bad: with_directory_of(good, bad), lambda good, bad: with_directory_of(bad, good),
    lambda good, bad: hidden(good, bad), lambda good, bad: hidden(bad, good),
    lambda good, bad: bytes(good) + b'PK\x05\x06' + bytes(18),
    lambda good, bad: bytes(good) + bytes(bad)[bytes(bad).rindex(b'PK\x05\x06'):],
])
def test_two_directories_never_give_torch_another_content(make, tmp_path):
    content = make(zipped(dumped({'seen': 1})), scripted())
    (tmp_path / 'a.pth').write_bytes(content)
    try:
        loaded = load_checkpoint_file(tmp_path / 'a.pth')
    except UserError:
        return
    assert loaded == {'seen': 1}


@pytest.mark.parametrize('first, second', [
    ('archive/data.pkl', 'archive/DATA.PKL'), ('archive/data/0', 'archive/DATA/0'),
    ('archive/data.pkl', 'archive/data.pkl'),
])
@pytest.mark.filterwarnings('ignore:Duplicate')
def test_two_records_of_one_name_are_refused(first, second, tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('archive/version', '3\n')
        for name in ('archive/data.pkl', first, second):
            archive.writestr(name, dumped({}))
    refused(tmp_path, file.getvalue(), 'two records of one name')


def test_a_local_header_of_another_name_is_refused(tmp_path):
    content = zipped(dumped({}))
    position = content.index(b'archive/data.pkl')
    changed = content[:position] + b'archive/date.pkl' + content[position + 16:]
    refused(tmp_path, changed, 'not a checkpoint')


@pytest.mark.parametrize('form', ['prefix', 'tail'])
def test_bytes_around_an_archive(form, tmp_path):
    content = bytes(saved())
    refused(tmp_path, b'prefix' + content if form == 'prefix' else content[:-40],
            'not a checkpoint')


def test_encrypted_and_odd_compressions_are_refused(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_BZIP2) as archive:
        archive.writestr('archive/data.pkl', dumped({}))
    refused(tmp_path, file.getvalue(), 'not a checkpoint')
    content = bytearray(zipped(dumped({})))
    for start in (b'PK\x03\x04', b'PK\x01\x02'):
        position = content.index(start) + (6 if start.endswith(b'\x04') else 8)
        content[position] |= 1
    refused(tmp_path, content, 'not a checkpoint')


def test_a_compressed_archive_is_read(tmp_path):
    with zipfile.ZipFile(io.BytesIO(saved())) as source, zipfile.ZipFile(
            tmp_path / 'a.pth', 'w', zipfile.ZIP_DEFLATED) as archive:
        for name in source.namelist():
            archive.writestr(name, source.read(name))
    assert torch.equal(load_checkpoint_file(tmp_path / 'a.pth')['w'], torch.arange(1000.))


def test_an_archive_that_grows_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / 'a.pth', 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('archive/version', '3')
        archive.writestr('archive/data.pkl', dumped({}))
        with archive.open('archive/data/0', 'w') as record:
            for _ in range(100):
                record.write(bytes(2**20))
    with pytest.raises(UserError, match='records of 100 MB in a file of 0.1 MB'):
        load_checkpoint_file(tmp_path / 'a.pth')


def test_an_archive_that_does_not_fit_into_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr('eca_mm.compat.archive.available_memory', lambda: 2**20)
    content = zipped(dumped({'a': bytes(2**20)}))
    refused(tmp_path, content, 'records of 1 MB, and 1 MB of memory are free')


def test_records_that_overlap_are_refused(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('archive/version', '3')
        archive.writestr('archive/data.pkl', dumped({}))
        archive.writestr('archive/data/0', bytes(2**20))
        first = archive.filelist[-1]
        for index in range(1, 200):
            again = zipfile.ZipInfo(f'archive/data/{index}')
            for name in ('header_offset', 'CRC', 'file_size', 'compress_size'):
                setattr(again, name, getattr(first, name))
            archive.filelist.append(again)
            archive.NameToInfo[again.filename] = again
    refused(tmp_path, file.getvalue(), 'records of 200 MB in a file')


def test_torchscript_is_not_run(tmp_path):
    refused(tmp_path, scripted(), 'TorchScript')


def test_two_directories_of_which_the_end_names_one(tmp_path):
    """Python looks for the directory before the end, torch where the end says that it is.

    In the one before the end a record of 40 bytes has 4 MB: torch would read beyond its memory.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('pad', bytes(4096))
        archive.writestr('a/data.pkl', dumped({'w': 1}))
        archive.writestr('a/data/0', bytes(40))
        directory = archive.fp.tell()
    content = bytearray(file.getvalue())
    end = content.rindex(b'PK\x05\x06')
    first, tail = content[directory:end], content[end:]
    for change in ({}, {40: 4 << 20}):
        second = bytearray(first)
        for old, new in change.items():
            second = second.replace(struct.pack('<2L', old, old), struct.pack('<2L', new, new))
        forged = content[:directory] + first + second + tail
        refused(tmp_path, forged, 'can be read in two ways|not a checkpoint')
    refused(tmp_path, content + b'x', 'something follows its end|not a checkpoint')
    # The same end without a second directory is fine: so nothing but that is refused.
    with pytest.raises(BrokenArchive, match='two ways'):
        open_archive(io.BytesIO(bytes(content[:directory] + first + first + tail)))
