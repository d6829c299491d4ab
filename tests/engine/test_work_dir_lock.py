"""Two trainings do not share a work directory."""
import os
import signal
import time

import pytest

from eca_mm.engine import CheckedRunner
from eca_mm.engine.work_dir_lock import NAME, holder, locked
from eca_mm.utils.errors import UserError
from tests.support.points import EPOCHS, SHUFFLED, config
from tests.support.processes import start_tool

HOLD = """
import sys, time
from eca_mm.engine.work_dir_lock import locked
with locked(sys.argv[1]):
    time.sleep(600)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the work directory."""
    (tmp_path / 'hold.py').write_text(HOLD)
    process = start_tool(tmp_path, tmp_path / 'hold.py', tmp_path / 'run')
    while holder(tmp_path / 'run') is None and process.is_alive():
        time.sleep(0.05)
    yield process
    process.kill()
    process.join()


def test_a_second_run_is_refused_until_the_first_is_killed(tmp_path, other):
    cfg = config(tmp_path / 'run', EPOCHS, SHUFFLED)
    with pytest.raises(UserError, match=f'process {other.pid} on .*--work-dir'):
        CheckedRunner.from_cfg(cfg).train()
    assert not list((tmp_path / 'run').glob('*.pth'))
    # Nor is the config of the other replaced.
    assert not list((tmp_path / 'run').glob('*.py'))
    os.kill(other.pid, signal.SIGKILL)
    other.join()
    assert holder(tmp_path / 'run') is None
    CheckedRunner.from_cfg(cfg).train()
    assert (tmp_path / 'run/iter_12.pth').is_file()
    assert not (tmp_path / 'run' / NAME).exists()


def test_the_lock_is_given_back(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with locked(tmp_path):
        pass
