"""The command line of the drawn data set."""
import json

from tests.support.processes import run_tool

TOOL = 'dataset_tools/make_shapes_coco.py'


def test_writes_once(tmp_path):
    arguments = (TOOL, 'a/b', '--num-train', 3, '--num-val', 2, '--size', 64)
    result = run_tool(tmp_path, *arguments)
    assert result.returncode == 0, result.stderr
    assert 'Wrote 3 train and 2 val images to a/b' in result.stdout
    files = {path: path.read_bytes() for path in (tmp_path / 'a').rglob('*.*')}
    images = json.loads((tmp_path / 'a/b/annotations/instances_train.json').read_text())['images']
    assert len(images) == 3 and len(files) == 7

    again = run_tool(tmp_path, *arguments, '--seed', 1)
    assert again.returncode == 1
    assert again.stderr == ('a/b holds a data set of shapes already; give --overwrite to replace '
                            'it, or name another folder.\n')
    assert files == {path: path.read_bytes() for path in (tmp_path / 'a').rglob('*.*')}

    replaced = run_tool(tmp_path, *arguments, '--seed', 1, '--overwrite')
    assert replaced.returncode == 0, replaced.stderr
    assert files != {path: path.read_bytes() for path in (tmp_path / 'a').rglob('*.*')}


def test_misuse_and_help(tmp_path):
    assert run_tool(tmp_path, TOOL).returncode == 2
    shown = run_tool(tmp_path, TOOL, '--help')
    assert shown.returncode == 0 and 'example: ' in shown.stdout
