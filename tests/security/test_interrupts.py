"""Ctrl-C before the first iteration: exit code 130, one sentence, nothing half-written."""
import pytest

from tests.support import samples
from tests.support.processes import run_tool

# A config is a program, so it can press Ctrl-C itself.
PRESS = """
def _press(*args, **kwargs):
    import os, signal, time
    # A shell's background jobs, and what they start, ignore the signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)
"""
MOMENTS = {
    'read': '_press()',
    'formatted': """
def _plan():
    import mmengine.config.config
    mmengine.config.config.FormatCode = _press
""",
    'built': """
def _plan():
    from mmengine.registry import MODELS
    MODELS.register_module('SlowModel', module=type('Slow', (), {'__init__': _press}))
model['type'] = 'mmengine.SlowModel'
""",
    'data': """
def _plan():
    from mmpretrain.datasets import CustomDataset
    CustomDataset.load_data_list = _press
""",
    'saved': """
def _plan():
    from mmengine.hooks import CheckpointHook
    CheckpointHook._save_checkpoint = _press
""",
}


@pytest.fixture(scope='module')
def classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp('classes')
    samples.draw_classes(folder / 'classes')
    return folder / 'classes'


@pytest.mark.parametrize('moment', [
    'formatted', *(pytest.param(name, marks=pytest.mark.slow) for name in MOMENTS
                   if name != 'formatted')])
def test_one_sentence(tmp_path, classes, moment):
    samples.write_config(tmp_path / 'cls.py', samples.CLASSIFICATION, classes,
                         PRESS + MOMENTS[moment] + (
                             '' if moment == 'read' else '_plan()\n'))
    result = run_tool(tmp_path, 'train.py', 'cls.py', '--work-dir', 'run')
    assert result.returncode == 130, result.stderr
    assert 'Traceback' not in result.stderr
    assert result.stderr.strip().splitlines()[-1] == 'Interrupted.'
    left = [path for path in tmp_path.glob('run/**/*')
            if path.is_file() and path.suffix != '.log']
    assert all(path.stat().st_size for path in left), left
    assert not list(tmp_path.glob('run/**/.*.*'))
