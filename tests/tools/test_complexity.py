"""tools/analysis_tools/complexity.py from the command line."""
import json

import pytest

from tests.support.processes import ROOT, run_tool

TOOL = 'analysis_tools/complexity.py'
CONFIG = ROOT / 'configs/eca_resnet/eca-resnet50-k3557_4xb64_in1k.py'


def test_figures_of_eca_resnet50(tmp_path):
    done = run_tool(tmp_path, TOOL, CONFIG, '--json', 'out/c.json')
    assert (done.returncode, done.stderr) == (0, '')
    assert '25,557,112' in done.stdout and '224 x 224' in done.stdout
    figures = json.loads((tmp_path / 'out/c.json').read_text())
    assert figures['params'] == figures['trainable_params'] == 25_557_112
    assert figures['shape'] == [224, 224]
    assert f'{figures["flops"]:,}' in done.stdout
    assert f'{figures["activations"]:,}' in done.stdout


def test_detector_at_another_shape_with_overrides(tmp_path):
    config = ROOT / 'configs/retinanet/retinanet_eca-r50_fpn_4xb2-1x_coco.py'
    (tmp_path / 'c.json').write_text('{"params": 1}')
    done = run_tool(tmp_path, TOOL, config, '--shape', 64, 96, '--json', 'c.json', '--overwrite',
                    '--cfg-options', 'model.backbone.kernel_size=9')
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / 'c.json').read_text())
    # Plain RetinaNet R50, and 9 weights in each of the 16 blocks.
    assert (figures['shape'], figures['params']) == ([64, 96], 37_968_692 + 16 * 9)


@pytest.mark.parametrize('arguments, code, sentence', [
    ([], 2, 'config'),
    ([CONFIG, '--shape', '224'], 2, '--shape'),
    ([CONFIG, '--shape', '224', '-1'], 2, "two positive integers, but got '-1'"),
    ([CONFIG, '--cfg-options', 'kernel_size'], 2, 'KEY=VALUE'),
    (['nowhere.py'], 1, 'nowhere.py'),
    ([ROOT / 'configs/_base_/schedules/coco_bs8_1x.py'], 1, "no 'model'"),
    ([CONFIG, '--shape', '32', '32', '--cfg-options', 'model.backbone.type=ECAResnet'], 1,
     'ECAResNet'),
])
def test_misuse_gives_a_one_line_error(tmp_path, arguments, code, sentence):
    done = run_tool(tmp_path, TOOL, *arguments)
    assert done.returncode == code
    assert sentence in done.stderr
    assert 'Traceback' not in done.stderr


def test_a_file_is_not_replaced_unasked(tmp_path):
    precious = tmp_path / 'config.py'
    precious.write_text('model = 1')
    done = run_tool(tmp_path, TOOL, CONFIG, '--shape', 32, 32, '--json', precious)
    assert done.returncode == 1
    assert done.stderr.count('\n') == 1 and 'config.py exists already' in done.stderr
    assert precious.read_text() == 'model = 1'
