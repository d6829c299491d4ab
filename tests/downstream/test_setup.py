"""`make setup` in a separate checkout, in a path with a space."""
import os
import subprocess

import pytest

from tests.downstream.conftest import Environment


@pytest.fixture
def checkout(source, tmp_path):
    """A checkout whose requirements are few enough to be met without an index."""
    folder = tmp_path / 'a checkout'
    subprocess.run(['cp', '-R', source, folder], check=True)
    for path in (folder / 'requirements.txt', *(folder / 'requirements').iterdir()):
        path.write_text('')
    return folder


def make_setup(checkout, *variables):
    """Runs `make setup` without access to a package index; returns the finished process."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in ('MAKEFLAGS', 'MFLAGS', 'MAKELEVEL', 'VENV', 'PYTHON')}
    return subprocess.run(['make', 'setup', *variables], cwd=checkout, text=True,
                          env={**environment, 'PIP_NO_INDEX': '1'},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.mark.slow
def test_it_installs_once_and_again_only_after_a_failure_or_a_change(checkout):
    environment = Environment(checkout / '.venv')
    requirements = checkout / 'requirements' / 'runtime.txt'

    requirements.write_text('there-is-no-such-package==1\n')
    (checkout / 'requirements.txt').write_text('-r requirements/runtime.txt\n')
    failed = make_setup(checkout)
    assert failed.returncode != 0 and 'there-is-no-such-package' in failed.stdout

    requirements.write_text('numpy\n')
    first = make_setup(checkout)
    assert first.returncode == 0, first.stdout
    assert 'Requirement already satisfied: numpy' in first.stdout
    where = environment.run(checkout.parent, '-W', 'ignore', '-c',
                            'import eca_mm; print(eca_mm.__file__)')
    assert f'{checkout}/eca_mm/__init__.py' in where

    second = make_setup(checkout)
    assert second.returncode == 0
    assert second.stdout.splitlines() == [f'==> {checkout}/.venv is up to date']

    requirements.write_text('numpy>=1\n')
    changed = make_setup(checkout)
    assert changed.returncode == 0 and 'Installing the pinned packages' in changed.stdout
    assert 'editable' not in changed.stdout


def test_a_folder_other_than_an_environment_is_kept(checkout):
    (checkout / 'thesis').mkdir()
    refused = make_setup(checkout, 'VENV=thesis')
    assert refused.returncode != 0
    assert 'is not a virtual environment' in refused.stdout
    assert not any((checkout / 'thesis').iterdir())


def test_an_unfit_python_is_named(checkout):
    refused = make_setup(checkout, 'PYTHON=no-such-python')
    assert refused.returncode != 0
    assert 'no-such-python is not Python 3.10 to 3.13' in refused.stdout
    assert not (checkout / '.venv').exists()
