"""Names from files are printed as harmless text, whatever they contain."""
import ast
import logging
import subprocess
import sys
import warnings
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from eca_mm.benchmark.report import Report
from eca_mm.utils.cli import _PrintableRecord, run
from eca_mm.utils.errors import UserError
from eca_mm.utils.grammar import new_parser
from eca_mm.utils.terminal import printable, progress, say, show_table, working
from eca_mm.visualization.bubbles import Bubble, draw_bubbles
from eca_mm.visualization.style import save_picture

ROOT = Path(__file__).resolve().parents[2]
# A title, a cleared screen, a bell, text from right to left, an invisible character.
HOSTILE = 'a\x1b]0;x\x07\x1b[2J\x9b31m\u202eb\u200bc\r\x08\ud800'
# These print constants, or escape what they print.
PRINTERS = {'eca_mm/utils/terminal.py', 'eca_mm/utils/cli.py', 'eca_mm/__main__.py',
            'tools/launch.py'}


def harmless(text):
    text.encode()
    return all(char == '\n' or char.isprintable() for char in text)


def test_say(capsys):
    say(f'{HOSTILE}\nsecond line')
    say(HOSTILE, error=True)
    show_table((HOSTILE, 'b'), [(HOSTILE, 1)], title=HOSTILE)
    shown = capsys.readouterr()
    assert harmless(shown.out) and harmless(shown.err)
    assert r'\x1b[2J' in shown.out and r'\u202e' in shown.err and 'second line' in shown.out
    say('x' * 10**6)
    assert len(capsys.readouterr().out) < 5000


@pytest.mark.parametrize('name', ['[red]x[/]', '[/]', HOSTILE, '[link=file:///]x', '\\'])
def test_names_in_progress_bars_are_not_markup(name, capsys, monkeypatch):
    assert list(progress([1], name)) == [1]
    shown = capsys.readouterr().err
    assert harmless(shown) and printable(name)[:5] in shown
    # On a terminal only; rich's own control sequences are shown too.
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True, raising=False)
    with working(name):
        pass
    shown = capsys.readouterr().err
    assert printable(name)[:3] in shown and not {'\x07', '\u202e', '\x9b'} & set(shown)
    assert '\x1b]' not in shown


NAMES = [r'$\frac{$', '[/]', HOSTILE, '<script>&"', 'x' * 3000, '$x^2$', '\\', '']


@pytest.mark.parametrize('ending', ['svg', pytest.param('png', marks=pytest.mark.slow)])
def test_names_in_charts(ending, tmp_path, capfd):
    bubbles = [Bubble(name, name, 10**7 * (n + 1), 10**9, 70 + n, '')
               for n, name in enumerate(NAMES)]
    save_picture(draw_bubbles(bubbles), str(tmp_path / f'bubbles.{ending}'))
    figure = Figure()
    figure.subplots().set_xticks(range(len(NAMES)), NAMES)
    save_picture(figure, str(tmp_path / f'ticks.{ending}'))
    Report({}, [], [], NAMES[0], {name: {other: (1, .9, 1.1) for other in NAMES}
                              for name in NAMES[:2]}).draw(str(tmp_path / 'report.png'))
    assert harmless(capfd.readouterr().err)
    for path in tmp_path.glob('*.svg'):
        text = path.read_text()
        ElementTree.fromstring(text)
        assert 'x' * 300 not in text and r'\x1b[2J' in text and r'$\frac{$' in text


def test_misuse_of_a_command_line(capsys):
    parser = new_parser('About.', 'python tools/test.py x', 'config', 'launcher')
    for arguments in ([HOSTILE, HOSTILE], ['x', f'--{HOSTILE}'], ['x', '--launcher', HOSTILE]):
        with pytest.raises(SystemExit):
            parser.parse_args(arguments)
        assert harmless(capsys.readouterr().err)


@pytest.mark.parametrize('call, last', [
    (lambda: warnings.warn(HOSTILE, stacklevel=1), 'warnings.warn'),
    (lambda: int(HOSTILE), 'ValueError'),
])
def test_warnings_and_tracebacks(capsys, call, last):
    with pytest.raises(SystemExit), warnings.catch_warnings():
        warnings.simplefilter('always')
        run(call)
    shown = capsys.readouterr().err
    assert harmless(shown) and last in shown and r'\x1b[2J' in shown


def test_a_name_begins_no_line_of_its_own(capsys):
    def fail():
        raise UserError('No class a\nWrote b.pth.')

    with pytest.raises(SystemExit):
        run(fail)
    assert capsys.readouterr().err == 'No class a\\nWrote b.pth.\n'


def test_log():
    record = _PrintableRecord('x', logging.INFO, '', 1, '%s is bad', (HOSTILE, ), None)
    assert harmless(record.getMessage())


def test_nothing_is_printed_in_another_way():
    files = subprocess.run(['git', 'ls-files', 'eca_mm/*.py', 'tools/*.py'], cwd=ROOT, text=True,
                           capture_output=True, check=True).stdout.split()
    assert len(files) > 100
    found = []
    for name in set(files) - PRINTERS:
        for node in ast.walk(ast.parse((ROOT / name).read_text())):
            if isinstance(node, ast.Call) and (
                    (isinstance(node.func, ast.Name) and node.func.id == 'print')
                    or (isinstance(node.func, ast.Attribute)
                        and ast.unparse(node.func) in ('sys.stdout.write', 'sys.stderr.write'))):
                found.append(f'{name}:{node.lineno}')
    assert not found, 'eca_mm.utils.terminal.say escapes what names from files hold'
