"""Text from files does no harm to a terminal; tables are Markdown of a fixed form."""
import logging

import pytest

from eca_mm.utils.terminal import (
    markdown_table,
    printable,
    printable_lines,
    progress,
    show_table,
    working,
)
from tests.support.processes import run_tool


@pytest.mark.parametrize('text, shown', [
    ('layer1.0.eca.conv.weight', 'layer1.0.eca.conv.weight'), ('café 圆形', 'café 圆形'),
    ('\x1b]0;title\x07', r'\x1b]0;title\x07'), ('a\nb\rc', r'a\nb\rc'), ('\x9b31m', r'\x9b31m'),
    ('a\u202eb', r'a\u202eb'), ('\ud800', r'\ud800'), ('\x7f', r'\x7f'), (3, '3')])
def test_control_characters_are_escaped(text, shown):
    assert printable(text) == shown


def test_long_names_are_cut():
    shown = printable('a' * 10**7 + 'z', 50)
    assert len(shown) == 50 and shown.startswith('aaa') and shown.endswith('z') and '...' in shown
    assert len(printable('\x1b' * 1000, 50)) <= 50
    assert printable_lines('one\x1b\ntwo') == 'one\\x1b\ntwo'


def test_tables_show_text_as_it_is(capsys):
    show_table(('name', 'value'), [('[red]x[/red]', '\x1b[31m'), (':smile:', 'a' * 500)])
    out = capsys.readouterr().out
    assert '[red]x[/red]' in out and '\x1b' not in out and ':smile:' in out and 'a' * 200 not in out


def test_markdown():
    rows = [['a', '1', 'x'], ['long | name', '22.5', '']]
    assert markdown_table(['', 'ms', 'note'], rows, 'lrl') == '\n'.join([
        '|              |   ms | note |', '| ------------ | ---: | ---- |',
        '| a            |    1 | x    |', '| long \\| name | 22.5 |      |'])
    assert markdown_table(['row', 'ms', 'note'], rows, 'lrl', compact=True) == '\n'.join([
        '| row | ms | note |', '| --- | ---: | --- |', '| a | 1 | x |',
        '| long \\| name | 22.5 |  |'])
    wide = markdown_table(['a', 'b'], [['x' * 3000, '[link](y.md)']])
    assert wide.count('\n') == 2 and '[link](y.md)' in wide


def test_progress_goes_to_standard_error(capsys):
    with working('Waiting'):
        assert list(progress(range(3), 'Counting')) == [0, 1, 2]
    seen = capsys.readouterr()
    assert seen.out == '' and 'Counting' in seen.err and '100%' in seen.err


CODE = '''
import logging, sys
from eca_mm.utils.cli import run
from eca_mm.utils.errors import UserError
def main():
    logging.warning('weight %s', '\\x1b[2Jx')
    raise UserError('name \\x1b[2J is wrong')
run(main)
'''


def test_errors_and_logs_are_printable(tmp_path):
    (tmp_path / 'tool.py').write_text(CODE)
    done = run_tool(tmp_path, tmp_path / 'tool.py')
    assert done.returncode == 1 and '\x1b' not in done.stderr
    assert r'weight \x1b[2Jx' in done.stderr and r'name \x1b[2J is wrong' in done.stderr
    assert logging.getLogRecordFactory() is logging.LogRecord
