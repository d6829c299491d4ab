"""No tool writes over what it reads, and nothing without being told to."""
import argparse
import json
import os
import stat

import numpy as np
import pytest

from eca_mm.utils.atomic_files import write_atomically
from eca_mm.utils.errors import UserError
from eca_mm.utils.outputs import check_output, check_outputs
from eca_mm.utils.results import add_results, write_results


def arguments(**values):
    return argparse.Namespace(**{'overwrite': True, **values})


@pytest.fixture
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'in.json').write_text('[]')
    (tmp_path / 'images').mkdir()
    (tmp_path / 'images/a.jpg').write_bytes(b'a')
    (tmp_path / 'link.json').symlink_to('in.json')
    (tmp_path / 'folder').symlink_to('images')
    os.link(tmp_path / 'in.json', tmp_path / 'hard.json')
    return tmp_path


@pytest.mark.parametrize('values, more', [
    (dict(config='in.json', json='in.json'), ()),
    (dict(config='in.json', json='./images/../in.json'), ()),
    (dict(config='in.json', json='link.json'), ()),
    (dict(config='link.json', json='in.json'), ()),
    (dict(config='in.json', json='hard.json'), ()),
    (dict(models=['x.py', 'in.json'], out='hard.json'), ()),
    (dict(images=['in.json=LABEL'], out='in.json'), ()),
    (dict(models=['in.json:fused'], json='link.json'), ()),
    (dict(cfg_options={'a': ['in.json']}, json='in.json'), ()),
    (dict(image='images', config='x'), ('folder', )),
    (dict(image='images/', config='x'), ('images', )),
])
def test_an_input_is_never_written_over(there, values, more):
    with pytest.raises(UserError, match='is the (file|folder) to read'):
        check_outputs(arguments(**values), *more)
    assert (there / 'in.json').read_text() == '[]'


def test_further_inputs_and_two_outputs_of_one_name(there):
    with pytest.raises(UserError, match='is the (file|folder) to read'):
        check_outputs(arguments(json='hard.json'), inputs=['in.json'])
    with pytest.raises(UserError, match='named for two outputs'):
        check_outputs(arguments(json='new.json', out='./new.json'))
    check_outputs(arguments(json='new.json', out='other.json', config='in.json'))


def test_nothing_is_replaced_unasked(there):
    with pytest.raises(UserError, match='in.json exists already; give --overwrite'):
        check_output('in.json', overwrite=False)
    with pytest.raises(UserError, match='exists already'):
        write_results([], 'in.json')
    with pytest.raises(UserError, match='is not a folder that can be written to'):
        check_output('in.json/x', overwrite=False)
    write_results(dict(x=np.float32(.5), y=np.arange(2)), 'in.json', overwrite=True)
    assert json.loads((there / 'in.json').read_text()) == dict(x=.5, y=[0, 1])
    with pytest.raises(UserError, match='JSON has no type for'):
        write_results(dict(x=object()), 'new.json')
    assert not (there / 'new.json').exists()


def test_results_of_earlier_runs_are_kept(tmp_path):
    for number in range(3):
        add_results([number], tmp_path, 'p.json')
    assert json.loads((tmp_path / 'p.json').read_text()) == [2]
    assert sorted(json.loads(path.read_text())[0] for path in tmp_path.iterdir()) == [0, 1, 2]


def test_new_content_does_not_get_the_right_to_run_as_its_owner(tmp_path):
    path = tmp_path / 'tool'
    path.write_bytes(b'old')
    path.chmod(0o6754)
    write_atomically(b'new', path)
    assert path.read_bytes() == b'new' and stat.S_IMODE(path.stat().st_mode) == 0o754
