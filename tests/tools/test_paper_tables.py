"""tools/analysis_tools/paper_tables.py from the command line."""
import json

import pytest

from eca_mm.analysis.paper_markdown import as_markdown
from eca_mm.analysis.paper_tables import load_figures, recompute
from tests.support.processes import run_tool

TOOL = 'analysis_tools/paper_tables.py'


def test_one_table(tmp_path):
    done = run_tool(tmp_path, TOOL, '--tables', 7, '--json', 't.json', '--out', 'pages/7.md')
    assert done.returncode == 0, done.stderr
    assert 'Recomputing' in done.stderr and '100%' in done.stderr
    rows = json.loads((tmp_path / 't.json').read_text())['table7']
    assert set(rows) == set(load_figures()['table7']['rows'])
    row = rows['R-18/ECA-Net']
    assert row == recompute(7, 'R-18/ECA-Net')
    assert (row['printed_params'], row['printed_flops']) == (11.148, 1.7)
    assert row['params'] == round(row['params_paper_unit'] * 2**20) == 11_689_556
    page = (tmp_path / 'pages/7.md').read_text()
    assert page == as_markdown(dict(table7=rows)) and page in done.stdout
    assert not (tmp_path / 'docs').exists()


@pytest.mark.slow
def test_all_tables(tmp_path):
    done = run_tool(tmp_path, TOOL, '--json', 't.json', '--out', 'docs/paper_tables.md')
    assert done.returncode == 0, done.stderr
    figures = load_figures()
    tables = json.loads((tmp_path / 't.json').read_text())
    assert {table: list(rows) for table, rows in tables.items()} == {
        table: list(figures[table]['rows']) for table in figures}
    assert (tmp_path / 'docs/paper_tables.md').read_text() == as_markdown(tables)


@pytest.mark.parametrize('arguments, code, sentence', [
    (['--tables', '1'], 2, 'invalid choice: 1'),
    (['--tables', '2', '--out', 'mine.md'], 1, 'mine.md exists already'),
])
def test_misuse_gives_a_one_line_error(tmp_path, arguments, code, sentence):
    (tmp_path / 'mine.md').write_text('# Mine')
    done = run_tool(tmp_path, TOOL, *arguments)
    assert done.returncode == code
    assert sentence in done.stderr and 'Traceback' not in done.stderr
    assert (tmp_path / 'mine.md').read_text() == '# Mine'
