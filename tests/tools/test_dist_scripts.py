import os
import pickle
import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from tests.support.processes import ROOT, run_script, run_tool_in_processes

SRUN = """#!/usr/bin/env bash
for option; do case $option in --*) echo "$option" >> "$SRUN_LOG"; shift;; *) break;; esac; done
export SLURM_NTASKS=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=29473
SLURM_PROCID=1 SLURM_LOCALID=1 "$@" > /dev/null &
SLURM_PROCID=0 SLURM_LOCALID=0 "$@"
wait $!
"""


@pytest.mark.parametrize(('script', 'tool', 'files'), [
    ('dist_train.sh', 'train.py', ['my det.py']),
    ('dist_test.sh', 'test.py', ['my det.py', 'epoch 1.pth'])])
def test_what_is_started(tmp_path, script, tool, files):
    python = tmp_path / 'python'
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    result = run_script(tmp_path, script, *files, 2, '--work-dir', 'my runs', PYTHON=str(python))
    assert result.returncode == 0, result.stderr
    launcher, *arguments = result.stdout.splitlines()
    assert launcher == str(ROOT / 'tools/launch.py')
    assert arguments[:4] == ['--nnodes', '1', '--nproc-per-node', '2']
    assert arguments[-5 - len(files):] == [str(ROOT / 'tools' / tool), *files, '--work-dir',
                                           'my runs', '--launcher', 'pytorch']


@pytest.mark.slow
def test_two_processes_test_like_one(trained):
    # By the script's path, from another folder and with a space in every path.
    place = shutil.copytree(trained, trained.parent / 'a place')
    shutil.copy(place / 'det.py', place / 'my det.py')
    result = run_script(place, 'dist_test.sh', 'my det.py', 'work_dirs/det/epoch_1.pth', 2,
                        '--out', 'my predictions.pkl', '--work-dir', 'my runs',
                        '--show-dir', 'my pictures')
    assert result.returncode == 0, result.stderr
    assert result.stdout.count('Pictures: 4 in ') == 1
    assert sorted(path.name for path in (place / 'my pictures').iterdir()) == [
        '001.jpg', '002.jpg', '003.jpg', '004.jpg']
    assert 'coco/bbox_mAP:' in result.stdout
    predictions = pickle.loads((place / 'my predictions.pkl').read_bytes())
    assert [prediction['img_id'] for prediction in predictions] == [1, 2, 3, 4]


def test_two_processes_draw_every_image_of_folders_with_alike_names(trained):
    # An odd number: the sampler gives one image twice.
    data = shutil.copytree(trained / 'classes', trained / 'eleven')
    (data / 'red/0.png').unlink()
    results = run_tool_in_processes(
        trained, 2, 'test.py', 'cls.py', 'work_dirs/cls/epoch_1.pth', '--show-dir', 'pictures',
        '--cfg-options', f'test_dataloader.dataset.data_root={data}',
        'test_dataloader.batch_size=2')
    assert [result.returncode for result in results] == [0, 0], results
    assert ''.join(result.stdout for result in results).count('Pictures: 11 in ') == 1
    drawn = {path.relative_to(trained / 'pictures') for path in (trained / 'pictures').rglob('*.*')}
    assert drawn == {path.relative_to(data) for path in data.rglob('*.png')}


@pytest.mark.slow
def test_an_invalid_loss_in_one_process_stops_both(trained):
    result = run_script(
        trained, 'dist_train.sh', 'cls.py', 2, '--work-dir', 'runs', '--cfg-options',
        'optim_wrapper.optimizer.lr=1e30', 'train_dataloader.batch_size=2')
    assert result.returncode == 1
    sentences = [line for line in result.stderr.splitlines() if 'loss became invalid' in line]
    assert len(sentences) == 1
    # The images of both processes are in it: the second four of the twelve.
    assert all(f'/green/{index}.png' in sentences[0] for index in range(4))
    assert 'Traceback' not in result.stderr
    assert not list((trained / 'runs').glob('*.pth'))


@pytest.mark.slow
def test_a_mistake_is_reported_once(folder):
    result = run_script(folder, 'dist_train.sh', 'absent.py', 2)
    assert result.returncode == 1
    assert result.stderr.count('absent.py does not exist') == 1
    assert 'Traceback' not in result.stderr


def test_a_port_in_use(folder):
    with socket.socket() as other:
        other.bind(('', 0))
        other.listen()
        port = str(other.getsockname()[1])
        result = run_script(folder, 'dist_train.sh', 'cls.py', 2, PORT=port)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        f'Port {port} is in use on this machine; set PORT to a free one.')
    assert 'Traceback' not in result.stderr


@pytest.mark.slow
def test_two_machines(folder):
    """Both of them this one."""
    with socket.socket() as probe:
        probe.bind(('', 0))
        port = str(probe.getsockname()[1])
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda rank: run_script(
            folder, 'dist_train.sh', 'cls.py', 1, NNODES='2', NODE_RANK=rank, PORT=port,
            MASTER_ADDR='127.0.0.1'), '01'))
    assert [result.returncode for result in results] == [0, 0], results
    # Twelve images in batches of four, dealt to two processes.
    assert 'Epoch(train) [1][2/2]' in results[0].stdout


@pytest.mark.parametrize(('script', 'arguments'), [
    ('dist_train.sh', ('cls.py', )),
    ('dist_train.sh', ('cls.py', 'two')),
    ('dist_train.sh', ('cls.py', 0)),
    ('dist_test.sh', ('cls.py', 2)),
    ('slurm_train.sh', ('partition', 'job')),
    ('slurm_test.sh', ('partition', 'job', 'cls.py')),
])
def test_misuse(folder, script, arguments):
    result = run_script(folder, script, *arguments)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_more_gpus_than_there_are(folder):
    result = run_script(folder, 'dist_train.sh', 'cls.py', torch.cuda.device_count() + 1)
    assert result.returncode == 2
    assert 'GPUs are asked for' in result.stderr


@pytest.mark.slow
def test_slurm_jobs(trained):
    """With a stand-in for srun that starts two tasks on this machine."""
    srun = trained / 'bin' / 'srun'
    srun.parent.mkdir()
    srun.write_text(SRUN)
    srun.chmod(0o755)
    environment = {'PATH': f'{srun.parent}{os.pathsep}{os.environ["PATH"]}', 'GPUS': '2',
                   'SRUN_LOG': str(trained / 'options')}
    result = run_script(trained, 'slurm_test.sh', 'a partition', 'my job', 'cls.py',
                        'work_dirs/cls/epoch_1.pth', '--out', 'p.pkl', **environment)
    assert result.returncode == 0, result.stderr
    assert len(pickle.loads((trained / 'p.pkl').read_bytes())) == 12
    options = (trained / 'options').read_text().splitlines()
    assert {'--partition=a partition', '--job-name=my job', '--ntasks=2', '--gres=gpu:2',
            '--ntasks-per-node=2'} <= set(options)


def test_shell_scripts_are_sound():
    for script in sorted((ROOT / 'tools').glob('*.sh')):
        subprocess.run(['bash', '-n', str(script)], check=True)
