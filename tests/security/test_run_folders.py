"""The folder of a run from a stranger is read as numbers, within bounds."""
import os
import runpy
from pathlib import Path

import pytest

from eca_mm.utils.errors import UserError
from eca_mm.visualization import run_records
from eca_mm.visualization.runs import read_run
from tests.support.logs import CLASSIFIER, write_start

TOOL = Path(__file__).resolve().parents[2] / 'tools/visualizations/compare_runs.py'
RECORD = '{"lr": 0.1, "loss": 1.0, "step": 10}\n'


@pytest.fixture
def log(tmp_path):
    return write_start(tmp_path, 1, CLASSIFIER, [
        dict(lr=.1, loss=1., step=10), {'coco/bbox_mAP': .1, 'step': 10}])


@pytest.mark.parametrize('name', ['scalars.json', 'config.py'])
@pytest.mark.parametrize('what', ['pipe', 'device', 'folder', 'loop', 'dangling', 'huge', 'binary'])
def test_other_things_than_files(tmp_path, log, name, what):
    path = log.with_name(name)
    path.unlink()
    if what == 'pipe':
        os.mkfifo(path)
    elif what == 'folder':
        path.mkdir()
    elif what == 'huge':
        with path.open('wb') as stream:
            stream.truncate(2**40)
    elif what == 'binary':
        path.write_bytes(b'\xff\xfe\x00')
    else:
        path.symlink_to({'device': '/dev/zero', 'loop': path, 'dangling': 'absent'}[what])
    with pytest.raises(UserError, match=f'{name} cannot be read|is not a work directory'):
        read_run(str(tmp_path))


@pytest.mark.parametrize('line', [
    '[' * 10**5, '{"step": 1' + '0' * 400 + ', "lr": 1}', '{"step": true, "lr": 1}',
    '{"step": -1, "lr": 1}', '{"step": 1.5, "lr": 1}', '[]', '1', '{"a": ' * 2000,
    '{"step": 20, "lr": 0.1, "loss": 1' + '0' * 400 + '}', '{"step": 1' + '0' * 6000 + '}',
    '{"step": 20, "lr": 0.1, "loss": -1e308}',
    '{"step": 20, "lr": 0.1, "x": "' + 'a' * 2**21 + '"}'])
def test_lines_that_mmengine_does_not_write(tmp_path, log, line):
    log.write_text(f'{RECORD}{line}\n{RECORD.replace("10", "30")}')
    with pytest.raises(UserError, match='broken in line|is not what mmengine writes'):
        read_run(str(tmp_path))


@pytest.mark.parametrize('config', [
    'import os\nos.mkdir("ran")', 'model = __import__("os").mkdir("ran")', 'x\n' * 10**6,
    "x = ''f'{__import__(\"os\")}'", 'x = {[]: 1}', 'x = a' + '.b' * 900, 'x = ' + '-' * 900 + '1',
    'x = [' + '0,' * 10**6 + ']', "x = f'" + '{0}' * 10**5 + "'"])
def test_a_config_is_not_run_and_takes_no_more_than_its_size(tmp_path, log, monkeypatch, config):
    monkeypatch.chdir(tmp_path)
    log.with_name('config.py').write_text(config)
    with pytest.raises(UserError):
        read_run(str(tmp_path))
    assert not (tmp_path / 'ran').exists()


def test_memory_is_bounded_before_reading(tmp_path, log, monkeypatch):
    monkeypatch.setattr(run_records, '_MAX_BYTES', 10)
    with pytest.raises(UserError, match='far more than mmengine writes'):
        read_run(str(tmp_path))


def test_figures_without_bounds_are_drawn(tmp_path, log, monkeypatch, capsys):
    name = tmp_path.parent / '$\\frac$\x1b[2J'
    log.write_text(''.join(
        RECORD.replace('10', str(step)).replace('1.0', value)
        for step, value in enumerate(('1e99', '-1e99', 'NaN', 'Infinity', '-1e999'), 11))
        + '{"coco/bbox_mAP": 1e99, "step": 15, "\\u001b]0;x": 1}\n')
    tmp_path.rename(name)
    monkeypatch.chdir(name.parent)
    out = name.parent / 'page.png'
    monkeypatch.setattr('sys.argv', [str(TOOL), str(name), '--out', str(out), '--overwrite'])
    runpy.run_path(str(TOOL), run_name='tool')['main']()
    assert out.is_file() and '\x1b' not in capsys.readouterr().out
    out.unlink()
