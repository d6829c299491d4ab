"""One of two processes is killed: the other ends soon and says why, and the run can continue."""
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from eca_mm.checkpoints.latest import latest_checkpoint
from eca_mm.compat import load_checkpoint_file
from tests.support import samples
from tests.support.processes import (
    ROOT,
    finish,
    free_port,
    run_tool_in_processes,
    start_tool,
)

pytestmark = pytest.mark.slow

MORE = """
train_cfg = dict(type='RepeatableEpochLoop', max_epochs=15)
train_dataloader.update(batch_size=2, sampler=dict(type='DefaultSampler', shuffle=True))
default_hooks['checkpoint'] = dict(interval=1, max_keep_ckpts=2)
"""


@pytest.fixture
def folder(tmp_path):
    """A working directory with a classifier, and weights of a run of two processes."""
    samples.draw_classes(tmp_path / 'classes')
    samples.write_config(tmp_path / 'cls.py', samples.CLASSIFICATION, tmp_path / 'classes', MORE)
    results = run_tool_in_processes(tmp_path, 2, 'train.py', 'cls.py', '--work-dir', 'whole',
                                    launcher='mpi')
    assert [result.returncode for result in results] == [0, 0], results[0].stderr
    return tmp_path


def check_resumed(folder):
    left = latest_checkpoint(folder / 'work_dirs/cls')
    assert 2 <= load_checkpoint_file(left)['meta']['epoch'] < 15
    results = run_tool_in_processes(folder, 2, 'train.py', 'cls.py', '--resume', launcher='mpi')
    assert [result.returncode for result in results] == [0, 0], results[0].stderr
    found, expected = (load_checkpoint_file(folder / name / 'epoch_15.pth')['state_dict']
                       for name in ('work_dirs/cls', 'whole'))
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())


@pytest.mark.parametrize('victim', [0, 1])
def test_processes_without_a_launcher_that_watches_them(folder, capsys, victim):
    port = free_port()
    processes = [start_tool(
        folder, 'train.py', 'cls.py', '--launcher', 'mpi', name=str(rank), MASTER_PORT=port,
        MASTER_ADDR='127.0.0.1', OMPI_COMM_WORLD_RANK=str(rank), OMPI_COMM_WORLD_SIZE='2',
        OMPI_COMM_WORLD_LOCAL_RANK=str(rank)) for rank in range(2)]
    while not (folder / 'work_dirs/cls/epoch_2.pth').exists():
        assert all(process.is_alive() for process in processes)
        time.sleep(0.01)
    os.kill(processes[victim].pid, signal.SIGKILL)
    begun = time.monotonic()
    other = finish(processes[1 - victim], folder, name=str(1 - victim))
    took = time.monotonic() - begun
    with capsys.disabled():
        print(f'\nprocess {victim} killed: the other ended after {took:.0f} s')
    assert took < 60
    assert other.returncode == 1
    assert 'Another process of this run has ended' in other.stderr.strip().splitlines()[-1]
    assert 'Traceback' not in other.stderr
    processes[victim].join()
    check_resumed(folder)


def children(pid):
    """Processes that a process has started."""
    listed = subprocess.run(
        ['ps', '-o', 'pid=', '--ppid', str(pid)], capture_output=True, text=True)
    return [int(line) for line in listed.stdout.split()]


def test_torchrun(folder, capsys):
    with (folder / 'output').open('w') as output:
        launcher = subprocess.Popen(
            [ROOT / 'tools/dist_train.sh', 'cls.py', '2'], cwd=folder, stdout=output, stderr=output,
            env={**os.environ, 'PYTHON': sys.executable})
    while not (folder / 'work_dirs/cls/epoch_2.pth').exists():
        assert launcher.poll() is None, (folder / 'output').read_text()
        time.sleep(0.01)
    os.kill(children(launcher.pid)[1], signal.SIGKILL)
    begun = time.monotonic()
    assert launcher.wait() == 1
    took = time.monotonic() - begun
    with capsys.disabled():
        print(f'\none of two processes of torchrun killed: all ended after {took:.0f} s')
    assert took < 60
    text = (folder / 'output').read_text()
    assert 'ended with exit code -9' in text.strip().splitlines()[-1]
    assert 'Traceback' not in text
    check_resumed(folder)
