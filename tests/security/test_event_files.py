"""Recordings of event cameras and their labels from a stranger."""
import io
import os
import struct
import zipfile

import h5py
import hdf5plugin
import numpy as np
import pytest

from eca_mm.datasets.coco_index import CheckedCOCO
from eca_mm.datasets.event_frame_dsec import read_tracks
from eca_mm.datasets.event_frame_records import read_csv_labels, read_times
from eca_mm.datasets.event_frame_transforms import _read_grid
from eca_mm.events import Calibration, DSECEventFile, dsec_file, read_rectify_map
from eca_mm.utils.errors import UserError
from tests.support.event_data import TRACKS

SIZE = (6, 8)


def refused(read, path, match='.'):
    with pytest.raises(UserError, match=match) as caught:
        read(path)
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)
    assert len(str(caught.value)) < 1000


def recording(path, **changed):
    """A sound recording of 100 events in which the named parts are made by functions."""
    parts = {'events/p': np.ones(100, 'u1'), 'events/t': np.arange(100, dtype='u4'),
             'events/x': np.zeros(100, 'u2'), 'events/y': np.zeros(100, 'u2'),
             'ms_to_idx': np.array([0], 'u8'), 't_offset': np.int64(0)}
    with h5py.File(path, 'w') as file:
        for name, content in parts.items():
            make = changed.get(name.rpartition('/')[2])
            if make is None:
                file[name] = content
            else:
                make(file, name)
    return path


def link(kind):
    return lambda file, name: file.__setitem__(name, kind)


def dataset(*args, **kwargs):
    return lambda file, name: file.create_dataset(name, *args, **kwargs)


def virtual(file, name):
    layout = h5py.VirtualLayout((100, ), 'u4')
    layout[:] = h5py.VirtualSource('absent', 't', shape=(100, ))
    file.create_virtual_dataset(name, layout)


def garbage(file, name):
    file.create_dataset(name, (100, ), 'u4', chunks=(100, ), **hdf5plugin.Blosc())
    file[name].id.write_direct_chunk((0, ), struct.pack('<4B3L', 2, 1, 0x21, 4, 2**31 - 1, 9, 99))


def unknown_filter(file, name):
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk((100, ))
    creation.set_filter(40000, 1, ())
    made = h5py.h5d.create(file.id, name.encode(), h5py.h5t.STD_U32LE,
                           h5py.h5s.create_simple((100, )), creation)
    made.write_direct_chunk((0, ), bytes(100), 0)


RECORDINGS = {
    # Nothing but the file is read: another one may be a pipe, which would be waited for.
    'external link': (dict(t=link(h5py.ExternalLink('absent', '/t'))), 'by a link'),
    'soft link': (dict(ms_to_idx=link(h5py.SoftLink('/events/t'))), 'by a link'),
    'external storage': (dict(x=dataset((100, ), 'u2', external=[('/dev/zero', 0, 200)])),
                         'in other files'),
    'virtual data': (dict(t=virtual), 'in other files'),
    # Types.
    'lists of numbers': (dict(t=dataset((100, ), h5py.vlen_dtype('u4'))), 'not an array of num'),
    'texts': (dict(ms_to_idx=dataset((100, ), h5py.string_dtype())), 'not an array of numbers'),
    'records': (dict(x=dataset((100, ), [('a', 'u4')])), 'not an array of numbers'),
    'references': (dict(y=dataset((100, ), h5py.ref_dtype)), 'not an array of numbers'),
    'nothing': (dict(t_offset=lambda f, name: f.__setitem__(name, h5py.Empty('i8'))), 'not an arr'),
    'a group': (dict(p=lambda f, name: f.create_group(name)), 'not an array of numbers'),
    'a type': (dict(p=lambda f, name: f.__setitem__(name, np.dtype('u4'))), 'not an array of num'),
    # Sizes.
    'huge index': (dict(ms_to_idx=dataset((10**12, ), 'u8', chunks=(1000, ))), 'states 7629394 MB'),
    'huge events': ({name: dataset((10**9, ), 'u1', chunks=(4096, )) for name in 'ptxy'},
                    'states 953 MB'),
    'zeros': ({'p': dataset(data=np.zeros(2**27, 'u1'), chunks=(2**24, ), compression=9),
               **{name: dataset((2**27, ), 'u1', chunks=(2**24, )) for name in 'txy'}},
              'states 128 MB'),
    'a huge chunk': (dict(t=dataset((100, ), 'u4', maxshape=(None, ), chunks=(2**28, ))), 'states'),
    'huge offset': (dict(t_offset=dataset(data=np.uint64(2**64 - 1))), 'less than 63 bits'),
    # Contents.
    'negative place': (dict(x=dataset(data=np.full(100, -1, 'i2'))), 'x = -1'),
    'a broken chunk': (dict(t=garbage), 'cannot be read'),
    'an unknown filter': (dict(t=unknown_filter), 'cannot be read'),
}


@pytest.mark.parametrize('name', RECORDINGS)
def test_recordings(name, tmp_path):
    changed, match = RECORDINGS[name]
    path = recording(tmp_path / 'events.h5', **changed)
    refused(lambda path: DSECEventFile(path).slice(0, 50), path, match)


def test_a_sound_recording(tmp_path):
    assert len(DSECEventFile(recording(tmp_path / 'a.h5')).slice(0, 50)) == 50


def test_links_of_whole_groups(tmp_path):
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        file['events'] = h5py.ExternalLink('absent', '/')
        file['rectify_map'] = h5py.ExternalLink('absent', '/')
    refused(lambda path: len(DSECEventFile(path)), tmp_path / 'a.h5', 'by a link')
    refused(read_rectify_map, tmp_path / 'a.h5', "Rectification map [^ ]* reaches 'rectify_map'")


def test_a_window_of_more_events_than_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(dsec_file, '_MANY', 10)
    monkeypatch.setattr(dsec_file, 'available_memory', lambda: 500)
    file = DSECEventFile(recording(tmp_path / 'a.h5'))
    assert len(file.slice(0, 20)) == 20
    refused(lambda path: file.slice(0, 50), tmp_path / 'a.h5', 'has 50 events from 0 to 50 us')


@pytest.mark.parametrize('make, match', [
    (dataset((10**5, 10**5, 2), 'f8', chunks=(100, 100, 2)), 'states 152587 MB'),
    (dataset((480, 640, 2), h5py.vlen_dtype('f4')), 'not an array of numbers'),
    (dataset(data=np.full((480, 640, 2), np.nan, 'f4')), 'not finite'),
])
def test_rectification_maps(make, match, tmp_path):
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        make(file, 'rectify_map')
    refused(read_rectify_map, tmp_path / 'a.h5', match)


def header(shape, descr='<f4'):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, dict(descr=descr, fortran_order=False,
                                                      shape=shape))
    return stream.getvalue()


def npz(path, content, name='arr_0.npy', method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, 'w', method) as archive:
        archive.writestr(name, content)
    return path


@pytest.mark.parametrize('content, match', [
    (header((10**6, *SIZE)), 'shape .1000000, 6, 8'), (header((2**62, 2**62, 8)), 'of shape'),
    (header((-1, *SIZE)), 'of shape'), (header((0, *SIZE)), 'of shape'),
    (header((2, *SIZE), '|O') + b'cos\nmkdir\n(Vpwned\ntR.', 'type object'),
    (header((2, *SIZE), '<U9'), 'type <U9'), (header((2, *SIZE)), 'cannot be read'),
    (header((2, *SIZE)) + np.full(96, np.nan, '<f4').tobytes(), 'NaN or infinite'),
    (b'\x93NUMPY\x02\x00\xff\xff\xff\x7f' + b'(' * 999, 'cannot be read'),
    (b'\x93NUMPY\x01\x00\xff\xff' + b'(' * 65535, 'cannot be read'),
    (b'\x80\x02cos\nmkdir\n(Vpwned\ntR.', 'cannot be read'),
])
def test_voxel_grids(content, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(lambda path: _read_grid(str(path), SIZE), npz(tmp_path / 'a.npz', content), match)
    # The file itself may be something else.
    (tmp_path / 'b.npz').write_bytes(content)
    refused(lambda path: _read_grid(str(path), SIZE), tmp_path / 'b.npz', 'cannot be read')
    assert not os.path.exists('pwned')


def test_grids_under_other_names_and_from_a_pipe(tmp_path):
    sound = header((2, *SIZE)) + bytes(4 * 96)
    assert _read_grid(str(npz(tmp_path / 'a.npz', sound)), SIZE).shape == (*SIZE, 2)
    assert _read_grid(str(npz(tmp_path / 'b.npz', sound, method=zipfile.ZIP_DEFLATED)),
                      SIZE).shape == (*SIZE, 2)
    for name in ('arr_0', 'other.npy'):
        refused(lambda path: _read_grid(str(path), SIZE), npz(tmp_path / 'c.npz', sound, name))
    os.mkfifo(tmp_path / 'd.npz')
    refused(lambda path: _read_grid(str(path), SIZE), tmp_path / 'd.npz', 'pipe or a device')


@pytest.mark.parametrize('array', [
    np.array([print], object), np.zeros(2, [(name, 'O') for name, _ in TRACKS]),
    np.zeros(2, [(name, 'U3') for name, _ in TRACKS]),
    np.zeros(2, [(name, 'V4') for name, _ in TRACKS]),
    np.zeros(2, [(name, kind, (2, )) for name, kind in TRACKS]),
    np.zeros((2, 2), TRACKS), np.zeros((), TRACKS),
    np.zeros(2, [(name, 'M8[s]' if name == 't' else kind) for name, kind in TRACKS]),
    np.full(2, np.nan, [(name, 'f8') for name, _ in TRACKS]),
    np.full(2, .5, [(name, 'f8') for name, _ in TRACKS]),
], ids=str)
def test_tracks_of_other_types(array, tmp_path):
    np.save(tmp_path / 'tracks.npy', array, allow_pickle=True)
    refused(read_tracks, tmp_path / 'tracks.npy')


def test_tracks_of_any_size_and_kind(tmp_path):
    path = tmp_path / 'tracks.npy'
    np.save(path, np.zeros(0, TRACKS))
    assert len(read_tracks(path)) == 0
    np.savez(tmp_path / 'a.npz', np.zeros(2))
    for content in (header((10**12, ), TRACKS), header((2**63, 2**63), TRACKS), b'',
                    b'\x80\x02cos\nmkdir\n(Vpwned\ntR.', (tmp_path / 'a.npz').read_bytes()):
        path.write_bytes(content)
        refused(read_tracks, path)
    path.unlink()
    os.mkfifo(path)
    refused(read_tracks, path, 'pipe or a device')


@pytest.mark.parametrize('content', [
    b'a' * 10**6, b',' * 10**5, b'a,1,2,3,4,\x1b[2Jcar', b'a,1,2,3,4\0,car', b'\xff\xfea,1,2,3,4',
])
def test_csv_labels(content, tmp_path):
    (tmp_path / 'a.csv').write_bytes(content)
    refused(lambda path: read_csv_labels(path, ('car', )), tmp_path / 'a.csv')
    with pytest.raises(UserError) as caught:
        read_csv_labels(tmp_path / 'a.csv', ('car', ))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize('content', [
    '', 'nan', '1.5', '9' * 5000, '2\n1', 'inf', '1\0', '1;2', '0x10',
])
def test_times_of_frames(content, tmp_path):
    (tmp_path / 'a.txt').write_text(content)
    refused(read_times, tmp_path / 'a.txt')


def test_text_files_that_are_pipes(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    for read in (read_times, Calibration.read, lambda path: read_csv_labels(path, ('car', )),
                 lambda path: CheckedCOCO(str(path))):
        refused(read, tmp_path / 'pipe', 'pipe or a device')


@pytest.mark.parametrize('value', [
    '[' + ','.join('1' * 10**4) + ']', '"\\e[2J"', '[1:59' + ':59' * 10**4 + ',1,1,1]',
    '[' + '9' * 400 + ',1,1,1]', '[!!int "", 1, 1, 1]', '[1, 1, 1, .nan]', '*a',
    '!!python/object/apply:os.mkdir [pwned]',
], ids=lambda value: value[:20])
def test_calibrations(value, tmp_path):
    path = tmp_path / 'a.yaml'
    path.write_text(f'intrinsics: &a {{camRect0: {{camera_matrix: {value}}}}}')
    refused(Calibration.read, path)
    with pytest.raises(UserError) as caught:
        Calibration.read(path)
    assert str(caught.value).isprintable() and not os.path.exists('pwned')


def test_a_calibration_of_some_megabytes(tmp_path):
    (tmp_path / 'a.yaml').write_text('a: ' + 'x' * 2**21)
    refused(Calibration.read, tmp_path / 'a.yaml', '2.0 MB, which is too large')
