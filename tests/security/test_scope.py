"""Importing eca_mm leaves every other torch.load of the process as strict as it was."""
import subprocess
import sys
import threading

import pytest
import torch

from eca_mm.compat import load_checkpoint_file
from tests.support.hostile_files import written_by_mmengine

SCRIPT = '''
import sys
import torch
path = sys.argv[1]

def allowed():
    get = getattr(torch.serialization, 'get_safe_globals', list)
    # torch adds to the list itself, as its parts are imported.
    return {str(entry) for entry in get() if 'torch' not in str(entry)}

def read():
    try:
        torch.load(path, weights_only=True)
        return 'read'
    except Exception as error:
        return type(error).__name__

import mmengine.logging, numpy, mmdet.registry, mmpretrain.registry, torch.distributed.tensor
before = allowed(), read(), torch.load
import eca_mm
from mmengine.runner import CheckpointLoader
eca_mm.compat.load_checkpoint_file(path)
CheckpointLoader.load_checkpoint(path)
assert (allowed(), read(), torch.load) == before, (allowed() - before[0], read())
assert before[1] == 'UnpicklingError', before[1]
print('left:', *(entry for entry in allowed() if 'numpy' in entry or 'mmengine' in entry))
'''


def test_plain_loading_is_as_strict_as_before(tmp_path):
    torch.save(written_by_mmengine(), tmp_path / 'a.pth')
    done = subprocess.run([sys.executable, '-c', SCRIPT, str(tmp_path / 'a.pth')],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1].strip() == 'left:'


def test_other_threads_are_as_strict_while_a_checkpoint_is_loaded(tmp_path):
    torch.save(written_by_mmengine(), tmp_path / 'a.pth')
    stop, read = threading.Event(), []

    def plain():
        while not stop.is_set():
            try:
                read.append(torch.load(tmp_path / 'a.pth', weights_only=True))
            except Exception:  # noqa: BLE001  what torch raises differs by release
                pass

    thread = threading.Thread(target=plain)
    thread.start()
    try:
        for _ in range(50):
            load_checkpoint_file(tmp_path / 'a.pth')
    finally:
        stop.set()
        thread.join()
    assert not read


@pytest.mark.skipif(not hasattr(torch.serialization, 'safe_globals'), reason='torch < 2.5')
def test_what_a_program_allows_itself_does_not_widen_our_list(tmp_path):
    """Many programs allow numpy's own functions; a file must not reach them through us."""
    import numpy as np

    from eca_mm.utils.errors import UserError
    from tests.support.hostile_files import zipped
    forged = b'\x80\x02cnumpy\ndtype\nX\x03\x00\x00\x00V80\x85R.'
    (tmp_path / 'a.pth').write_bytes(zipped(forged))
    with torch.serialization.safe_globals([np.dtype, np.ndarray, np.dtypes.Float64DType]):
        with pytest.raises(UserError, match='a numpy dtype'):
            load_checkpoint_file(tmp_path / 'a.pth')


def test_the_strictest_setting_of_torch_does_not_stop_us(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '1')
    torch.save(written_by_mmengine(), tmp_path / 'a.pth')
    assert load_checkpoint_file(tmp_path / 'a.pth')['meta']['epoch'] == 1
