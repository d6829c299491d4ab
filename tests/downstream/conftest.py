"""The built package, and environments outside the repository to install it in."""
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import distribution
from pathlib import Path

import pytest
from filelock import FileLock

from tests.conftest import REPOSITORY

# Everything that a build reads; not the virtual environment or other big folders of a checkout.
PARTS = (
    '.dev_scripts', 'configs', 'docs', 'eca_mm', 'requirements', 'tests', 'tools',
    'CHANGELOG.md', 'CITATION.cff', 'CONTRIBUTING.md', 'LICENSE', 'MANIFEST.in', 'Makefile',
    'README.md', 'model-index.yml', 'pyproject.toml', 'requirements.txt', 'ruff.toml', 'setup.cfg')


class Environment:
    """A virtual environment with the packages of the running one, but nothing of the checkout."""

    def __init__(self, root: Path):
        venv.create(root, symlinks=True)
        self.python = root / 'bin' / 'python'
        self.site_packages, = root.glob('lib/python*/site-packages')
        # Python reads no .pth files in a folder that a .pth file names, so the link to the
        # checkout, the editable install, is left behind. So is setuptools' own, which from Python
        # 3.12 on is what provides distutils to mmengine.
        # The running environment may itself have its packages from another one. Not by the
        # modules: to look for pip's makes setuptools leave distutils alone in this process.
        folders = {sysconfig.get_path('purelib'): None, **{
            str(distribution(name).locate_file('')): None for name in ('torch', 'pip')}}
        lines = [*folders, 'import _distutils_hack as h; h.add_shim()']
        (self.site_packages / 'packages.pth').write_text('\n'.join(lines) + '\n')

    def run(self, cwd: Path, *arguments) -> str:
        """Runs the environment's Python, which has to succeed, and returns all that it printed."""
        done = subprocess.run([self.python, *map(str, arguments)], cwd=cwd, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout[-4000:]
        return done.stdout

    def install(self, *arguments) -> None:
        """Installs a distribution with pip, without asking for its dependencies."""
        self.run(self.site_packages, '-m', 'pip', 'install', '--no-deps', '--no-index',
                 '--no-build-isolation', '--ignore-installed', *arguments)


@pytest.fixture(scope='session', autouse=True)
def no_python_path():
    """A caller's ``PYTHONPATH`` would put the checkout before what an environment installs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv('PYTHONPATH', raising=False)
        yield


@pytest.fixture(scope='session')
def source(tmp_path_factory) -> Path:
    """A copy of the project, so that building leaves nothing in the checkout."""
    copy = tmp_path_factory.mktemp('with a space') / 'source'
    copy.mkdir()
    for part in PARTS:
        path = REPOSITORY / part
        if path.is_dir():
            shutil.copytree(path, copy / part, symlinks=True,
                            ignore=shutil.ignore_patterns('__pycache__'))
        else:
            shutil.copy(path, copy / part)
    return copy


@pytest.fixture(scope='session')
def distributions(source, tmp_path_factory) -> Path:
    """A folder with the source distribution and the wheel built from it, as a release has them.

    All processes of a test run share it: whichever comes first builds it.
    """
    base = tmp_path_factory.getbasetemp()
    if 'PYTEST_XDIST_WORKER' in os.environ:
        base = base.parent
    out = base / 'distributions'
    with FileLock(base / 'distributions.lock'):
        if not out.exists():
            partial = base / 'distributions.partial'
            subprocess.run([sys.executable, '-m', 'build', '--no-isolation', '--outdir', partial,
                            source], check=True, capture_output=True)
            partial.rename(out)
    return out


@pytest.fixture(scope='session')
def wheel(distributions) -> Path:
    """The wheel."""
    path, = distributions.glob('*.whl')
    return path


@pytest.fixture(scope='session')
def installed(wheel, tmp_path_factory) -> Environment:
    """An environment with the wheel installed, the way a project downstream has it."""
    environment = Environment(tmp_path_factory.mktemp('downstream') / 'env')
    environment.install(wheel)
    return environment
