"""What a user reads when data workers die or have no shared memory left."""
import multiprocessing.synchronize
import os
import signal
import sys

import pytest
from mmengine.registry import MODELS
from torch.utils.data import DataLoader, Dataset

from eca_mm.utils.explain import explain
from tests.support.processes import run_tool


class Deadly(Dataset):
    """Its worker process is killed, as the kernel does when memory runs out."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize('text', [
    'unable to write to file </torch_11_22>: No space left on device (28)',
    'unable to write to file </torch_11_2233_0>: No space left on device (28)',
    'unable to allocate shared memory(shm) for file </torch_11_2233_1>: No space left on device '
    '(28)',
    'unable to resize file </torch_1_2> to the right size: No space left on device (28)',
    'unable to open shared memory object </torch_1_2_3> in read-write mode: No space left on '
    'device (28)',
    "DataLoader worker (pid 12) is killed by signal: Bus error. It is possible that dataloader's "
    'workers are out of shared memory. Please try to raise your shared memory limit.',
    'Caught RuntimeError in DataLoader worker process 0.\nOriginal Traceback (most recent call '
    'last):\n  File "x.py", line 1, in y\nRuntimeError: unable to write to file </torch_1_2>: No '
    'space left on device (28)\n',
])
def test_full_shared_memory(text):
    sentence = explain(RuntimeError(text))
    assert '--shm-size' in sentence and 'num_workers' in sentence
    assert '\n' not in sentence and sentence.endswith('.')


@pytest.mark.parametrize('text', [
    'DataLoader worker (pid(s) 123) exited unexpectedly',
    'DataLoader worker (pid(s) 123, 456) exited unexpectedly',
    'DataLoader worker (pid 123) is killed by signal: Killed. ',
    'DataLoader worker (pid 123) is killed by signal: Segmentation fault. ',
])
def test_a_killed_worker_by_its_message(text):
    sentence = explain(RuntimeError(text))
    assert '123' in sentence and 'num_workers' in sentence and '--resume' in sentence
    assert 'shm' not in sentence and sentence.endswith('.')


def test_a_killed_worker():
    with pytest.raises(RuntimeError) as raised:
        next(iter(DataLoader(Deadly(), num_workers=1)))
    sentence = explain(raised.value)
    assert 'data worker has ended' in sentence and 'num_workers' in sentence


@pytest.mark.parametrize('error', [
    RuntimeError('unable to open shared memory object </torch_1_2_3> in read-write mode: Too many '
                 'open files (24)'),
    RuntimeError('Too many open files. Communication with the workers is no longer possible.'),
    RuntimeError('received 0 items of ancdata'), OSError(24, 'Too many open files')])
def test_too_many_open_files_are_not_a_lack_of_memory(error):
    sentence = explain(error)
    assert 'ulimit -n' in sentence and 'shm' not in sentence


def test_a_semaphore_that_finds_no_room(monkeypatch):
    def full(*args):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('_multiprocessing.SemLock', full)
    with pytest.raises(OSError) as raised:
        multiprocessing.get_context('fork').Queue()
    assert '--shm-size' in explain(raised.value)
    # A disk that is full is something else.
    with pytest.raises(OSError) as raised:
        full()
    assert 'shm' not in explain(raised.value)


def test_other_errors_keep_their_traceback():
    assert explain(RuntimeError('mat1 and mat2 shapes cannot be multiplied')) is None
    assert explain(RuntimeError('No space')) is None


_LOAD = """
import ctypes
import sys

import torch
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader
from eca_mm.engine.data_loaders import report_lost_batches
from eca_mm.utils.explain import explain

libc = ctypes.CDLL(None)
# CLONE_NEWNS; MS_REC | MS_PRIVATE: what is mounted here stays here.
if (libc.unshare(0x20000) or libc.mount(b'none', b'/', None, 0x44000, None)
        or libc.mount(b'none', b'/dev/shm', b'tmpfs', 0, b'size=64k')):
    sys.exit(77)
try:
    list(report_lost_batches(DataLoader(torch.zeros(4, 100_000), 2, num_workers=1,
                                        collate_fn=pseudo_collate)))
except Exception as error:
    print(explain(error))
"""


@pytest.mark.skipif(sys.platform != 'linux', reason='mounts a small /dev/shm')
def test_a_small_shared_memory_is_reported_and_does_not_hang(tmp_path):
    (tmp_path / 'load.py').write_text(_LOAD)
    # mmdet's collating leaves the tensors to a thread of the worker, whose errors Python drops.
    result = run_tool(tmp_path, tmp_path / 'load.py')
    if result.returncode == 77:
        pytest.skip('cannot mount a small /dev/shm here')
    assert result.returncode == 0, result.stderr
    assert '--shm-size' in result.stdout, result.stderr


def test_a_value_that_a_constructor_asserts_against():
    with pytest.raises(AssertionError) as raised:
        MODELS.build(dict(type='mmdet.DetDataPreprocessor', mean=[100.] * 4, std=[50.] * 4))
    sentence = explain(raised.value)
    assert sentence.startswith('The config gives DetDataPreprocessor a value')
    assert '4 values' in sentence and 'Normalize' in sentence and sentence.endswith('.')

    with pytest.raises(AssertionError) as raised:
        assert not sentence, 'a text of another assertion'
    assert explain(raised.value) is None


ECA = dict(type='ECALayer')


@pytest.mark.parametrize(('settings', 'parts'), [
    (dict(depth=18, plugins=[dict(cfg=ECA, position='after_conv3')]),
     ['BasicBlock', 'ResNet-18', 'no plugins', 'ECAResNet']),
    (dict(depth=34, dcn=dict(type='DCN', deform_groups=1), stage_with_dcn=(True, ) * 4),
     ['BasicBlock', 'no dcn', 'depth of 50']),
    (dict(depth=50, plugins=[dict(cfg=ECA, position='after_conv4')]),
     ["'after_conv4'", "'after_conv1', 'after_conv2', 'after_conv3'"]),
    (dict(depth=50, plugins=[dict(cfg=ECA, position='after_conv3', stages=(True, ) * 3)]),
     ['len(stages)', '(True, True, True)']),
    (dict(depth=50, out_indices=(0, 4)), ['max(out_indices) < num_stages', 'out_indices=(0, 4)']),
    (dict(depth=50, style='tensorflow'), ["'tensorflow'"])])
def test_assertions_without_words_are_put_into_some(settings, parts):
    with pytest.raises(AssertionError) as raised:
        MODELS.build(dict(type='mmdet.ResNet', **settings))
    sentence = explain(raised.value)
    assert sentence.startswith('The config gives ResNet a value that it does not take: ')
    assert all(part in sentence for part in parts), sentence
