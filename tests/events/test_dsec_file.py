"""Windows of recordings in DSEC's format, and invalid files."""
import os
import pickle
import sys
from multiprocessing import get_context

import h5py
import hdf5plugin
import numpy as np
import pytest

from eca_mm.events import DSECEventFile, Events, write_dsec_events
from eca_mm.utils.errors import UserError
from tests.support.events import random_events

OFFSET = 51_000_000_123


@pytest.fixture(scope='module')
def recording(tmp_path_factory):
    """A recording with a pause, equal times and a start that is not at zero."""
    events = random_events(20_000, start=OFFSET + 2_345, duration=40_000)
    pause = events.t > OFFSET + 20_000
    t = events.t + pause * 7_000
    events = Events(events.x, events.y, t, events.polarity)
    path = tmp_path_factory.mktemp('events') / 'events.h5'
    write_dsec_events(path, events, OFFSET)
    return path, events


def expect(file: DSECEventFile, events: Events, t0: int, t1: int) -> int:
    mask = (events.t >= t0) & (events.t < t1)
    found = file.slice(t0, t1)
    for name in ('x', 'y', 't', 'polarity'):
        np.testing.assert_array_equal(getattr(found, name), getattr(events, name)[mask])
    return len(found)


def test_file_is_as_dsec_writes_it(recording):
    path, events = recording
    with h5py.File(path) as file:
        assert {name: file['events'][name].dtype.str for name in 'ptxy'} == {
            'p': '|u1', 't': '<u4', 'x': '<u2', 'y': '<u2'}
        blosc = str(hdf5plugin.Blosc.filter_id)
        assert blosc in {key if isinstance(key, str) else str(key)
                         for key in file['events/t']._filters}
        t, index = file['events/t'][()], file['ms_to_idx'][()]
        assert file['t_offset'][()] == OFFSET
        for millisecond, place in enumerate(index):
            assert t[place] >= 1000 * millisecond
            assert place == 0 or t[int(place) - 1] < 1000 * millisecond


def test_slices_equal_brute_force(recording):
    path, events = recording
    first, last = events.t[0], events.t[-1]
    file = DSECEventFile(path)
    assert len(file) == len(events) and (file.start, file.end) == (first, last)
    assert file.t_offset == OFFSET
    borders = [0, OFFSET, first - 1, first, first + 1, OFFSET + 3000, OFFSET + 2999, OFFSET + 3001,
               OFFSET + 20_000, OFFSET + 24_000, events.t[777], events.t[777] + 1, last - 1, last,
               last + 1, last + 10**6, OFFSET + 60_000]
    counts = {expect(file, events, t0, t1) for t0 in borders for t1 in borders if t0 <= t1}
    assert {0, len(events)} <= counts
    rng = np.random.default_rng(0)
    for t0, t1 in np.sort(rng.integers(first - 2000, last + 2000, (100, 2)), axis=1):
        expect(file, events, int(t0), int(t1))


def test_search_in_long_milliseconds(tmp_path, monkeypatch):
    monkeypatch.setattr('eca_mm.events.dsec_file._SEARCHED', 10)
    events = random_events(3000, duration=2500)
    write_dsec_events(tmp_path / 'events.h5', events)
    file = DSECEventFile(tmp_path / 'events.h5')
    for t0 in range(-10, 2600, 37):
        expect(file, events, t0, t0 + 411)


def test_no_events(tmp_path):
    write_dsec_events(tmp_path / 'events.h5', random_events(0), 5)
    file = DSECEventFile(tmp_path / 'events.h5')
    assert len(file.slice(0, 10**6)) == 0 and (file.start, file.end) == (0, 0)


def _read(file: DSECEventFile) -> tuple:
    return os.getpid(), len(file.slice(OFFSET, OFFSET + 10_000))


@pytest.mark.parametrize('method', [
    'fork', pytest.param('spawn', marks=pytest.mark.slow)])
def test_worker_processes(recording, method):
    path, events = recording
    file = DSECEventFile(path)
    expected = _read(file)
    with get_context(method).Pool(2) as pool:
        found = pool.map(_read, [file] * 4)
    assert {count for _, count in found} == {expected[1]}
    assert expected[0] not in {process for process, _ in found}


def test_forked_child_opens_its_own_handle(recording):
    file = DSECEventFile(recording[0])
    expected, handle = _read(file)[1], file._file
    child = os.fork()
    if child == 0:
        os._exit(0 if _read(file)[1] == expected and file._file is not handle else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert _read(file)[1] == expected


def test_pickle_and_close(recording):
    file = DSECEventFile(recording[0])
    expected = _read(file)
    assert _read(pickle.loads(pickle.dumps(file))) == expected
    file.close()
    assert _read(file) == expected
    with file:
        pass
    assert file._file is None


@pytest.mark.parametrize('module', ['h5py', 'hdf5plugin'])
def test_missing_library_is_named(recording, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=r"pip install 'eca-net-mm\[events\]'"):
        DSECEventFile(recording[0]).slice(0, 1)


def broken(path, change) -> DSECEventFile:
    write_dsec_events(path, random_events(5000), 0)
    with h5py.File(path, 'r+') as file:
        change(file)
    return DSECEventFile(path)


def _replace(name, value):
    def change(file):
        del file[name]
        if value is not None:
            file[name] = value(file) if callable(value) else value
    return change


def _group(name):
    def change(file):
        del file[name]
        file.create_group(name)
    return change


def _shuffle(file):
    t = file['events/t'][()]
    file['events/t'][...] = t[::-1]


@pytest.mark.parametrize(('change', 'message'), [
    (_replace('t_offset', None), "no 't_offset'"),
    (_replace('events/p', None), "no 'events/p'"),
    (_replace('events/x', np.zeros(3)), 'shapes'),
    (_replace('t_offset', np.zeros(2)), 'one integer'),
    (_replace('ms_to_idx', np.zeros((2, 2))), 'list of integers'),
    (_replace('ms_to_idx', np.array([0, 10, 5])), 'not sorted'),
    (_replace('ms_to_idx', np.array([0, 10**7])), 'beyond its 5000'),
    (_replace('ms_to_idx', np.arange(100)), 'do not fit'),
    (_shuffle, 'not sorted'),
    (_replace('events', np.zeros(3)), "no 'events/p'"),
    (_replace('events/t', lambda file: np.zeros(5000)), "'events/t' of the type float64"),
    (_replace('events/x', lambda file: np.ones(5000, bool)), "'events/x' of the type bool"),
    (_replace('events/y', lambda file: np.full(5000, -1, np.int16)), 'y = -1 of a sensor'),
    (_replace('events/p', lambda file: np.full(5000, 255, np.uint8)), 'polarities from 255'),
    (_group('t_offset'), 'not an array of numbers'), (_group('ms_to_idx'), 'not an array of num'),
    (_group('events/x'), 'not an array of numbers'),
    (_replace('ms_to_idx', 5), 'list of integers'),
    (_replace('t_offset', b'7'), 'not an array of numbers'),
])
def test_broken_files(tmp_path, change, message):
    with pytest.raises(UserError, match=message) as error:
        broken(tmp_path / 'events.h5', change).slice(20_000, 60_000)
    assert 'events.h5' in str(error.value) and str(error.value).count('.') >= 1


@pytest.mark.parametrize('polarity', [np.array([-1, 1], np.int8), np.array([False, True])])
def test_other_ways_to_write_polarity(tmp_path, polarity):
    values = polarity[np.arange(5000) % 2]
    file = broken(tmp_path / 'events.h5', _replace('events/p', values))
    assert set(file.slice(0, 10**6).polarity.tolist()) == set(polarity.tolist())


@pytest.mark.parametrize('window', [
    (5, 4), (float('nan'), 4), (0, float('inf')), ('0', 4), (None, 4), (0, 10**400)])
def test_impossible_windows(recording, window):
    with pytest.raises(ValueError, match='is not one of two times'):
        DSECEventFile(recording[0]).slice(*window)


def test_event_beyond_the_sensor(recording):
    with pytest.raises(UserError, match='sensor of 346 x 260'):
        DSECEventFile(recording[0], 260, 346).slice(OFFSET, OFFSET + 50_000)


def test_files_other_than_recordings(tmp_path, recording):
    with pytest.raises(UserError, match='does not exist'):
        DSECEventFile(tmp_path / 'absent.h5').slice(0, 1)
    (tmp_path / 'text.h5').write_text('no HDF5')
    with pytest.raises(UserError, match='another kind of file'):
        DSECEventFile(tmp_path / 'text.h5').slice(0, 1)
    data = recording[0].read_bytes()
    (tmp_path / 'short.h5').write_bytes(data[:len(data) // 2])
    with pytest.raises(UserError, match='truncated'):
        DSECEventFile(tmp_path / 'short.h5').slice(0, 1)
    # The same length, but the events themselves are gone.
    (tmp_path / 'zeros.h5').write_bytes(data[:len(data) // 2] + bytes(len(data) - len(data) // 2))
    with pytest.raises(UserError, match='zeros.h5'):
        file = DSECEventFile(tmp_path / 'zeros.h5')
        file.slice(file.start, file.end + 1)


def test_write_refuses(tmp_path):
    events = random_events(10)
    write_dsec_events(tmp_path / 'events.h5', events)
    with pytest.raises(UserError, match='exists already'):
        write_dsec_events(tmp_path / 'events.h5', events)
    with pytest.raises(ValueError, match='not sorted'):
        write_dsec_events(tmp_path / 'b.h5', events.select(slice(None, None, -1)))
    with pytest.raises(UserError, match='does not exist'):
        write_dsec_events(tmp_path / 'absent/b.h5', events)
    for t in (np.nan, .5):
        with pytest.raises(ValueError, match='whole microseconds'):
            write_dsec_events(tmp_path / 'b.h5', Events(events.x, events.y, events.t + t,
                                                        events.polarity))
    late = Events(events.x, events.y, events.t + 2**32, events.polarity)
    with pytest.raises(ValueError, match='raise t_offset'):
        write_dsec_events(tmp_path / 'b.h5', late)
    for x in (events.x + .5, events.x.astype(int) - 700):
        with pytest.raises(ValueError, match='x must be whole'):
            write_dsec_events(tmp_path / 'b.h5', Events(x, events.y, events.t, events.polarity))
    assert sorted(path.name for path in tmp_path.iterdir()) == ['events.h5']
