"""A slice of a long recording reads its own part of the file and no more."""
import subprocess
import sys

import h5py
import hdf5plugin
import numpy as np
import pytest

from eca_mm.events import DSECEventFile, write_dsec_events
from tests.support.events import random_events
from tests.support.processes import ROOT

# Events of a chunk, and how long it lasts.
CHUNK, MILLISECONDS = 10**6, 100


def test_reads_only_the_window(tmp_path, monkeypatch):
    events = random_events(200_000, duration=2_000_000)
    write_dsec_events(tmp_path / 'events.h5', events)
    file = DSECEventFile(tmp_path / 'events.h5')
    read, sizes = file._read, []
    monkeypatch.setattr(file, '_read', lambda *args: sizes.append(len(found := read(*args)))
                        or found)
    found = file.slice(1_000_000, 1_050_000)
    # The window four times, one neighbour at each end, and a millisecond around each border.
    assert 4 * len(found) <= sum(sizes) < 4 * len(found) + 1000


def write_long(path, size: int) -> tuple[int, np.ndarray]:
    """A recording of so many bytes, a chunk of random events over and over; and their times.

    Returns:
        The number of chunks, and the times within a chunk in microseconds.
    """
    rng = np.random.default_rng(0)
    blosc = hdf5plugin.Blosc(cname='zstd', clevel=1, shuffle=hdf5plugin.Blosc.SHUFFLE)
    t = np.sort(rng.integers(0, 1000 * MILLISECONDS, CHUNK))
    starts = np.searchsorted(t, 1000 * np.arange(MILLISECONDS))
    with h5py.File(path, 'w') as file:
        for name, high, kind in (('p', 2, 'u1'), ('x', 640, '<u2'), ('y', 480, '<u2')):
            file.create_dataset(f'events/{name}', data=rng.integers(0, high, CHUNK).astype(kind),
                                chunks=(CHUNK, ), maxshape=(None, ), **blosc)
        times = file.create_dataset('events/t', (0, ), '<u4', chunks=(CHUNK, ), maxshape=(None, ),
                                    **blosc)
        parts = {name: file[f'events/{name}'].id.read_direct_chunk((0, )) for name in 'pxy'}
        chunks = 0
        while file.id.get_filesize() < size:
            count = chunks * CHUNK
            for name, (mask, content) in parts.items():
                file[f'events/{name}'].resize((count + CHUNK, ))
                file[f'events/{name}'].id.write_direct_chunk((count, ), content, mask)
            times.resize((count + CHUNK, ))
            times[count:] = t + 1000 * MILLISECONDS * chunks
            chunks += 1
            file.flush()
        file['ms_to_idx'] = (starts + CHUNK * np.arange(chunks)[:, None]).ravel().astype('<u8')
        file['t_offset'] = np.int64(0)
    return chunks, t


MEASURE = """
import sys
from eca_mm.events import DSECEventFile

def status(key):
    return next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith(key))

start = status('VmRSS')
with open('/proc/self/clear_refs', 'w') as file:
    file.write('5')  # the peak is now where we are
events = DSECEventFile(sys.argv[1]).slice(int(sys.argv[2]), int(sys.argv[2]) + 50_000)
print(len(events), status('VmHWM') - start)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_slice_of_a_gigabyte(tmp_path):
    path = tmp_path / 'events.h5'
    chunks, t = write_long(path, 10**9)
    assert path.stat().st_size >= 10**9
    for chunk in (0, chunks // 2):
        done = subprocess.run(
            [sys.executable, '-c', MEASURE, path, str(1000 * MILLISECONDS * chunk)], cwd=ROOT,
            capture_output=True, text=True, check=True)
        count, kibibytes = map(int, done.stdout.split())
        assert count == np.searchsorted(t, 50_000)
        print(f'{count} events, {kibibytes / 1024:.0f} MiB above the start')
        assert kibibytes * 1024 < 150e6
