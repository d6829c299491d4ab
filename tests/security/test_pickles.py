"""Pickles that would run code are refused by name, in every format of torch."""
import os
import pickle
import zipfile

import pytest
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from eca_mm.compat import load_checkpoint_file
from eca_mm.compat.safe_pickle import mmengine_values, names
from eca_mm.utils.errors import UserError
from tests.support.hostile_files import PAYLOADS, dumped, legacy, tarred, zipped

pytestmark = pytest.mark.filterwarnings('ignore::DeprecationWarning')


@pytest.mark.parametrize('name', PAYLOADS)
def test_the_payloads_are_real(name, tmp_path):
    marker = tmp_path / 'marker'
    pickle.loads(PAYLOADS[name](str(marker)))
    assert marker.is_dir()


@pytest.mark.parametrize('pack', [zipped, legacy, tarred])
@pytest.mark.parametrize('name', PAYLOADS)
def test_code_is_refused_and_does_not_run(name, pack, tmp_path):
    marker, path = tmp_path / 'marker', tmp_path / 'bad.pth'
    path.write_bytes(pack(PAYLOADS[name](str(marker))))
    with pytest.raises(UserError) as error:
        load_checkpoint_file(path)
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
def test_the_error_names_what_was_found(name, found, tmp_path):
    path = tmp_path / 'bad.pth'
    path.write_bytes(zipped(PAYLOADS[name](str(tmp_path / 'marker'))))
    with pytest.raises(UserError, match=found):
        load_checkpoint_file(path)


def test_through_mmengine_too(tmp_path):
    path = tmp_path / 'bad.pth'
    path.write_bytes(zipped(PAYLOADS['exec'](str(tmp_path / 'marker'))))
    with pytest.raises(UserError, match='builtins.exec'):
        CheckpointLoader.load_checkpoint(str(path))
    assert not (tmp_path / 'marker').exists()


def test_a_second_pickle_of_the_same_name_does_not_help(tmp_path):
    marker, path = tmp_path / 'marker', tmp_path / 'bad.pth'
    bad = PAYLOADS['exec'](str(marker))
    for first, second in ((bad, dumped({})), (dumped({}), bad)):
        with zipfile.ZipFile(path, 'w') as archive, pytest.warns(UserWarning, match='Duplicate'):
            archive.writestr('archive/data.pkl', first)
            archive.writestr('archive/data.pkl', second)
            archive.writestr('archive/version', '3\n')
        try:
            assert load_checkpoint_file(path) == {}
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
def test_other_tricks_are_refused(change, tmp_path):
    path = tmp_path / 'bad.pth'
    path.write_bytes(zipped(change))
    mean = HistoryBuffer.mean
    with pytest.raises(UserError, match='asks for'):
        load_checkpoint_file(path)
    assert HistoryBuffer.mean is mean


def test_the_stand_in_for_getattr_gives_nothing_else():
    buffer = names.find('mmengine.logging.history_buffer', 'HistoryBuffer')
    assert mmengine_values.saved_method(buffer, 'mean') is HistoryBuffer.mean
    for owner, name in ((buffer, '__init__'), (buffer, 'update'), (HistoryBuffer, 'mean'),
                        (os, 'system'), (HistoryBuffer.mean, '__globals__'), (object(), 'mean')):
        with pytest.raises(pickle.UnpicklingError):
            mmengine_values.saved_method(owner, name)


def test_no_name_gives_a_file_the_object_that_it_names():
    for name, found in names.NAMES.items():
        assert type(found).__name__ == 'Name' and found.name == name
        if found.build is not None:
            assert found.build.__module__.startswith('eca_mm.compat.safe_pickle')
