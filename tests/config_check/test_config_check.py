"""A config without problems, and the tool."""
import json

from eca_mm.config_check import check_config
from tests.support.processes import run_tool

TOOL = 'analysis_tools/check_config.py'


def test_a_sound_config_has_no_findings(detector, classifier):
    assert check_config(detector) == check_config(classifier) == []


def test_tool(detector, tmp_path):
    detector.dump(tmp_path / 'mask-rcnn_4xb2.py')
    done = run_tool(tmp_path, TOOL, 'mask-rcnn_4xb2.py', '--json', 'f.json')
    assert (done.returncode, done.stderr) == (0, '')
    assert json.loads((tmp_path / 'f.json').read_text()) == []
    done = run_tool(tmp_path, TOOL, 'mask-rcnn_4xb2.py', '--json', 'f.json', '--overwrite',
                    '--gpus', '1', '--cfg-options', 'model.backbone.norm_eval=False')
    assert (done.returncode, done.stderr) == (1, '')
    assert '1 errors, 1 warnings' in done.stdout
    error, warning = json.loads((tmp_path / 'f.json').read_text())
    assert error['where'] == 'optim_wrapper.optimizer.lr' and error['level'] == 'error'
    assert set(warning) == {'level', 'check', 'where', 'message', 'expected'}
    # Warnings alone are not a failure.
    assert run_tool(tmp_path, TOOL, 'mask-rcnn_4xb2.py', '--cfg-options',
                    'model.backbone.norm_eval=False').returncode == 0
    for arguments, code in ((('absent.py', ), 1), ((), 2), (('x.py', '--gpus', '0'), 2)):
        assert run_tool(tmp_path, TOOL, *arguments).returncode == code
