"""tools/visualizations/compare_runs.py on a run that was really trained, stopped and resumed."""
import json

import pytest

from tests.support import samples
from tests.support.processes import run_tool

TOOL = 'visualizations/compare_runs.py'
VALIDATE = """
val_dataloader = test_dataloader
val_evaluator = test_evaluator
val_cfg = dict(type='ValLoop')
"""


@pytest.mark.slow
def test_resumed_run_beside_another(tmp_path):
    samples.draw_coco(tmp_path / 'coco')
    config = samples.write_config(tmp_path / 'det.py', samples.DETECTION, tmp_path / 'coco',
                                  VALIDATE)
    for epochs, more in ((1, []), (2, ['--resume'])):
        done = run_tool(tmp_path, 'train.py', config, '--work-dir', 'a', *more, '--cfg-options',
                        f'train_cfg.max_epochs={epochs}')
        assert done.returncode == 0, done.stderr
    starts = sorted(path.parents[1] for path in (tmp_path / 'a').glob('*/vis_data/scalars.json'))
    assert len(starts) == 2
    done = run_tool(tmp_path, TOOL, 'a', starts[0], '--labels', 'both', 'first', '--out', 'c.png',
                    '--json', 'c.json', '--best')
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'c.png').read_bytes().startswith(b'\x89PNG')
    figures = json.loads((tmp_path / 'c.json').read_text())
    assert list(figures['bbox']) == ['both', 'first']
    logged = [json.loads(line) for start in starts
              for line in (start / 'vis_data/scalars.json').read_text().splitlines()]
    ap = [record['coco/bbox_mAP'] for record in logged if 'coco/bbox_mAP' in record]
    assert len(ap) == 2
    assert figures['bbox']['both']['AP'] == pytest.approx(100 * max(ap))
    assert figures['bbox']['first']['AP'] == pytest.approx(100 * ap[0])
    again = run_tool(tmp_path, TOOL, 'a', '--out', 'c.png')
    assert again.returncode == 1 and 'give --overwrite' in again.stderr


@pytest.mark.parametrize('arguments, code, sentence', [
    ([], 2, 'WORK_DIR'),
    (['nowhere'], 1, 'Work directory nowhere does not exist'),
    (['classes'], 1, 'not a work directory of a training'),
    (['work_dirs/det'], 1, 'no COCO AP'),
    (['work_dirs/det', '--labels', 'a', 'b'], 2, '--labels expects 1'),
])
def test_misuse_gives_a_one_line_error(trained, arguments, code, sentence):
    (trained / 'classes').mkdir(exist_ok=True)
    done = run_tool(trained, TOOL, *arguments)
    assert done.returncode == code
    assert sentence in done.stderr and 'Traceback' not in done.stderr
