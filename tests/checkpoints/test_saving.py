import os
import resource
from contextlib import contextmanager

import pytest
import torch
from mmengine import dump
from mmengine.fileio import get_file_backend, put_text
from mmengine.runner import save_checkpoint

from eca_mm.checkpoints.latest import latest_checkpoint
from eca_mm.compat.file_backend import AtomicLocalBackend
from eca_mm.utils.atomic_files import write_atomically


@contextmanager
def files_limited_to(size: int):
    """Let the operating system refuse to write more than ``size`` bytes to a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_failed_write_keeps_the_old_checkpoint_and_no_temporary_file(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    save_checkpoint({'weight': torch.ones(10)}, str(path))

    with files_limited_to(4096), pytest.raises(OSError) as caught:
        save_checkpoint({'weight': torch.zeros(10_000)}, str(path))

    assert caught.value.filename == str(path)
    assert torch.equal(torch.load(path)['weight'], torch.ones(10))
    assert os.listdir(tmp_path) == ['epoch_1.pth']


def test_a_new_file_has_the_usual_permissions_and_an_old_one_keeps_its_own(tmp_path):
    path, plain = tmp_path / 'new' / 'a.pth', tmp_path / 'plain'
    plain.touch()
    write_atomically(b'1', path)
    assert path.stat().st_mode == plain.stat().st_mode

    path.chmod(0o640)
    write_atomically(b'2', path)
    assert path.read_bytes() == b'2'
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_symbolic_link_is_followed(tmp_path):
    (tmp_path / 'big_disk').mkdir()
    link = tmp_path / 'latest.pth'
    link.symlink_to(tmp_path / 'big_disk' / 'weights.pth')
    write_atomically(b'weights', link)
    assert link.is_symlink()
    assert (tmp_path / 'big_disk' / 'weights.pth').read_bytes() == b'weights'


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path):
    pipe = tmp_path / 'pipe'
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(b'weights', pipe)
    assert os.read(reader, 100) == b'weights'
    assert pipe.is_fifo()
    os.close(reader)


def test_all_that_mmengine_writes_is_covered(tmp_path):
    assert type(get_file_backend(str(tmp_path))) is AtomicLocalBackend
    for write in (lambda path: dump(list(range(10_000)), path),
                  lambda path: put_text('text' * 10_000, path)):
        path = str(tmp_path / 'file.pkl')
        write_atomically(b'old', path)
        with files_limited_to(4096), pytest.raises(OSError):
            write(path)
        assert (tmp_path / 'file.pkl').read_bytes() == b'old'


@pytest.mark.parametrize(('note', 'expected'), [
    ('{folder}/epoch_1.pth', 'epoch_1.pth'),
    ('/where/the/folder/was/before/epoch_1.pth', 'epoch_1.pth'),
    ('', 'epoch_2.pth'),
    ('{folder}/epoch_9.pth', 'epoch_2.pth'),
    (None, 'epoch_2.pth'),
])
def test_latest_checkpoint(tmp_path, note, expected):
    for index in (1, 2):
        path = tmp_path / f'epoch_{index}.pth'
        path.touch()
        os.utime(path, (index, index))
    if note is not None:
        (tmp_path / 'last_checkpoint').write_text(note.format(folder=tmp_path))
    assert latest_checkpoint(tmp_path) == str(tmp_path / expected)


def test_latest_checkpoint_of_an_empty_folder(tmp_path):
    assert latest_checkpoint(tmp_path) is None
