"""Every tool's arguments come from one place, and the example of its help runs where it is."""
import argparse
import contextlib
import io
import runpy
import sys

import pytest

from eca_mm.utils import grammar
from eca_mm.utils.errors import UserError
from eca_mm.utils.grammar import add_shared, check_device, new_parser
from tests.support.catalog import ROOT

TOOLS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / 'tools').rglob('*.py')
               if path.name != 'launch.py')
EXAMPLE = 'python tools/train.py configs/a/b.py --cfg-options x=1'


def parser_of(tool, monkeypatch):
    """The parser that a tool builds."""
    seen = []

    def stop(parser, *args, **kwargs):
        seen.append(parser)
        raise SystemExit(0)

    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, 'parse_args', stop)
        patch.setattr(sys, 'argv', [tool])
        patch.chdir(ROOT)
        with pytest.raises(SystemExit):
            runpy.run_path(tool, run_name='__main__')
    return seen[0]


@pytest.mark.parametrize('tool', TOOLS)
def test_shared_arguments_are_equal_and_the_example_is_the_tools_own(tool, monkeypatch):
    parser = parser_of(tool, monkeypatch)
    assert parser.description and parser.epilog.startswith(f'example: python {tool} ')
    actions = {action.dest: action for action in parser._actions}
    flags = {flag for action in parser._actions for flag in action.option_strings}
    for dest, metavar in (('json', 'F'), ('cfg_options', 'K=V'), ('device', 'D'),
                          ('work_dir', 'D')):
        if dest in actions and tool != 'tools/demo_shapes.py':
            assert actions[dest].metavar == metavar
    # Whatever writes where the user says can be told to replace.
    if {'--out', '--json', '--out-dir', '--show-dir', '--chart'} & flags:
        assert '--overwrite' in flags
    if '--force' in flags:
        force, = (a for a in parser._actions if '--force' in a.option_strings)
        assert force.help == argparse.SUPPRESS
    order = [a.dest for a in parser._actions if a.dest in (
        'device', 'cfg_options', 'out', 'json', 'overwrite') and a.help != argparse.SUPPRESS]
    if 'out' in actions and not actions['out'].option_strings:
        order.remove('out')
    assert order == [name for name in ('device', 'cfg_options', 'out', 'json', 'overwrite')
                     if name in order]


def test_force_is_understood_with_a_note(capsys):
    parser = new_parser('.', EXAMPLE, 'overwrite', force=True)
    assert parser.parse_args([]).overwrite is False
    assert parser.parse_args(['--overwrite']).overwrite is True
    assert capsys.readouterr().err == ''
    assert parser.parse_args(['--force']).overwrite is True
    assert '--force is deprecated' in capsys.readouterr().err
    assert '--force' not in parser.format_help()


def test_examples_are_shown_as_the_tool_was_called(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, 'argv', [str(ROOT / 'tools/train.py')])
    monkeypatch.chdir(ROOT)
    assert grammar.shown_example(EXAMPLE) == EXAMPLE
    monkeypatch.chdir(tmp_path)
    assert grammar.shown_example(EXAMPLE) == (
        f'python {ROOT}/tools/train.py eca_mm::a/b.py --cfg-options x=1')
    monkeypatch.setattr(grammar, 'called_as', 'eca-mm train')
    assert grammar.shown_example(EXAMPLE) == 'eca-mm train eca_mm::a/b.py --cfg-options x=1'


def test_wrong_pairs_are_misuse():
    parser = new_parser('.', EXAMPLE, 'config', 'cfg-options')
    with contextlib.redirect_stderr(io.StringIO()) as err, pytest.raises(SystemExit) as ended:
        parser.parse_args(['c.py', '--cfg-options', 'no-pair'])
    assert ended.value.code == 2 and 'expects KEY=VALUE pairs' in err.getvalue()
    with pytest.raises(ValueError, match='shared arguments'):
        add_shared(parser, 'confg')


@pytest.mark.parametrize('device', ['cuda:99', 'abacus', 'cpu:x'])
def test_a_missing_device(device):
    assert check_device('cpu') == 'cpu'
    with pytest.raises(UserError, match=f'--device {device} cannot be used'):
        check_device(device)


@pytest.mark.parametrize('flag', ['--local-rank=1', '--local_rank=1'])
def test_what_an_older_launcher_adds_is_accepted(flag):
    parser = new_parser('Train.', EXAMPLE, 'config', 'launcher')
    assert parser.parse_args(['x.py', '--launcher', 'pytorch', flag]).launcher == 'pytorch'
    assert 'local' not in parser.format_help()
