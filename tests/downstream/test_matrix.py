"""How .dev_scripts/test_matrix.py records results; running it takes hours."""
import importlib.util
import os
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

SCRIPT = REPOSITORY / '.dev_scripts' / 'test_matrix.py'


@pytest.fixture(scope='module')
def matrix():
    spec = importlib.util.spec_from_file_location('test_matrix_script', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    # Its dataclass looks itself up there.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_outcome_of_a_run(matrix, tmp_path):
    (tmp_path / 'test_some.py').write_text(
        'import pytest\n'
        'def test_good(): pass\n'
        'def test_bad(): assert 0\n'
        '@pytest.fixture\ndef broken(): raise OSError\n'
        'def test_error(broken): pass\n'
        'def test_skipped(): pytest.skip("why")\n')
    subprocess.run([sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', '--rootdir',
                    tmp_path, f'--junitxml={tmp_path}/r.xml', tmp_path], cwd=tmp_path,
                   capture_output=True,
                   env={**os.environ, 'PYTEST_DISABLE_PLUGIN_AUTOLOAD': '1'})
    outcome = matrix.outcome(tmp_path / 'r.xml')
    del outcome['seconds']
    assert outcome == {'passed': 1, 'failed': 2, 'skipped': 1,
                       'failures': ['test_some::test_bad', 'test_some::test_error']}


def test_a_line_of_the_page_replaces_the_earlier_one(matrix):
    page = (REPOSITORY / 'docs' / 'compatibility.md').read_text()
    result = dict(title='T', python='3.11', date='2026-11-21', problem=None, passed=5, failed=0,
                  skipped=1, versions=dict.fromkeys(matrix.SHOWN, '1.0'))
    lines = {name: matrix.row(name, result) for name in matrix.STACKS}
    changed = matrix.update(page, lines)
    assert [line for line in lines.values() if line not in changed] == []
    assert matrix.update(changed, lines) == changed
    assert changed.startswith(page.partition(matrix.RULE)[0])
    again = matrix.row('newest', {**result, 'problem': 'no disk', 'versions': {}})
    assert '| not run: no disk |' in again
    assert len(matrix.update(changed, {'newest': again}).splitlines()) == len(changed.splitlines())
    # What stands before and after the table stays.
    after = page.rpartition('|\n')[2]
    assert after and changed.endswith(f'|\n{after}')


def test_unknown_stack():
    done = subprocess.run([sys.executable, SCRIPT, 'torch1.0'], capture_output=True, text=True)
    assert done.returncode == 2 and 'no stack torch1.0; there are default, ' in done.stderr
