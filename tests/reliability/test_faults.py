"""Disks that are full, folders and files that vanish: a clear end, and nothing lost."""
import resource
import shutil
import subprocess
import time

import pytest
import torch

from eca_mm.checkpoints.latest import latest_checkpoint
from eca_mm.compat import load_checkpoint_file
from tests.support import samples
from tests.support.processes import fails, finish, run_tool, start_tool

pytestmark = pytest.mark.slow

MORE = """
train_cfg = dict(type='RepeatableEpochLoop', max_epochs=12)
default_hooks['checkpoint'] = dict(interval=1, max_keep_ckpts=1)
"""


@pytest.fixture
def folder(tmp_path):
    """A working directory with a classifier that trains for twelve epochs of three iterations."""
    samples.draw_classes(tmp_path / 'classes')
    samples.write_config(tmp_path / 'cls.py', samples.CLASSIFICATION, tmp_path / 'classes', MORE)
    return tmp_path


@pytest.fixture
def expected(folder):
    """Weights after an uninterrupted run."""
    result = run_tool(folder, 'train.py', 'cls.py', '--work-dir', 'whole')
    assert result.returncode == 0, result.stderr
    return load_checkpoint_file(folder / 'whole/epoch_12.pth')['state_dict']


def wait_for(path, process):
    """Wait until a running process has made a file."""
    while not path.exists():
        assert process.is_alive()
        time.sleep(0.01)


def check_final(path, expected):
    found = load_checkpoint_file(path)['state_dict']
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())


def test_a_limit_on_file_sizes_in_the_middle_of_a_run(folder, expected):
    process = start_tool(folder, 'train.py', 'cls.py')
    work_dir = folder / 'work_dirs/cls'
    wait_for(work_dir / 'epoch_2.pth', process)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (200_000, 200_000))
    fails(finish(process, folder), '.pth: file too large', 'ulimit')
    assert not list(work_dir.glob('.*'))
    assert load_checkpoint_file(latest_checkpoint(work_dir))['meta']['epoch'] >= 2
    resumed = run_tool(folder, 'train.py', 'cls.py', '--resume')
    assert resumed.returncode == 0, resumed.stderr
    check_final(work_dir / 'epoch_12.pth', expected)


def test_a_full_disk_in_the_middle_of_a_run(folder, expected):
    disk = folder / 'disk'
    disk.mkdir()
    size = (folder / 'whole/epoch_12.pth').stat().st_size
    mount = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={4 * size}', 'none', str(disk)],
                           capture_output=True, text=True)
    if mount.returncode:
        pytest.skip(f'cannot mount a small file system here: {mount.stderr.strip()}')
    try:
        process = start_tool(folder, 'train.py', 'cls.py', '--work-dir', 'disk')
        wait_for(disk / 'epoch_3.pth', process)
        # Somebody else fills the disk.
        with (disk / 'other').open('wb', buffering=0) as other, pytest.raises(OSError):
            while True:
                other.write(bytes(1000))
        fails(finish(process, folder), 'no space left on device', '--resume')
        left = latest_checkpoint(disk)
        assert load_checkpoint_file(left)['meta']['epoch'] >= 3
        (disk / 'other').unlink()
        resumed = run_tool(folder, 'train.py', 'cls.py', '--work-dir', 'disk', '--resume')
        assert resumed.returncode == 0, resumed.stderr
        check_final(disk / 'epoch_12.pth', expected)
    finally:
        subprocess.run(['umount', '-l', str(disk)], check=True)


def test_the_work_directory_is_removed(folder, expected):
    work_dir = folder / 'work_dirs/cls'
    process = start_tool(folder, 'train.py', 'cls.py')
    wait_for(work_dir / 'epoch_2.pth', process)
    work_dir.rename(folder / 'gone')
    sentence = fails(finish(process, folder), str(work_dir), 'was removed', '--resume')
    saved = latest_checkpoint(work_dir)
    assert saved.rsplit('/', 1)[1] in sentence
    # What was there before is as it was.
    assert load_checkpoint_file(latest_checkpoint(folder / 'gone'))['meta']['epoch'] >= 2
    resumed = run_tool(folder, 'train.py', 'cls.py', '--resume')
    assert resumed.returncode == 0, resumed.stderr
    check_final(work_dir / 'epoch_12.pth', expected)


@pytest.mark.parametrize('workers', [0, 2])
def test_an_image_is_removed(folder, expected, workers):
    work_dir, image = folder / 'work_dirs/cls', folder / 'classes/green/2.png'
    process = start_tool(folder, 'train.py', 'cls.py', '--cfg-options',
                         f'train_dataloader.num_workers={workers}')
    wait_for(work_dir / 'epoch_2.pth', process)
    shutil.move(image, folder / 'kept.png')
    fails(finish(process, folder), str(image), 'No such file')
    assert load_checkpoint_file(latest_checkpoint(work_dir))['meta']['epoch'] >= 2
    shutil.move(folder / 'kept.png', image)
    resumed = run_tool(folder, 'train.py', 'cls.py', '--resume')
    assert resumed.returncode == 0, resumed.stderr
    check_final(work_dir / 'epoch_12.pth', expected)
