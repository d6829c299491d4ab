"""Imports only point down the list of folders, and never in a circle."""
import re
from pathlib import Path

import pytest

from tests.support.import_graph import ImportGraph

ROOT = Path(__file__).resolve().parents[2]
# From the top to the bottom: an import may only point down. The package itself, eca_mm/__init__.py,
# imports what registers; it stands above all of it.
ORDER = ('tools', '__main__', '__init__', 'visualization', 'benchmark', 'analysis', 'config_check',
         'deploy', 'engine', 'checkpoints', 'datasets', 'events', 'backbones', 'ops', 'layers',
         'compat', 'utils', 'version')


def folders(graph: ImportGraph) -> dict[str, str]:
    """The entry of ORDER that every module belongs to."""
    result = {}
    for module in graph.files:
        first, *rest = module.split('.')
        result[module] = first if first == 'tools' else rest[0] if rest else '__init__'
    return result


def violations(root: Path) -> list[str]:
    """Everything that is wrong with the imports of the project in a folder."""
    graph = ImportGraph(root, ('eca_mm', 'tools'))
    ranks = folders(graph)
    unknown = sorted({f'eca_mm/{rank} has no place in the order of folders'
                      for rank in ranks.values() if rank not in ORDER})
    if unknown:
        return unknown
    circle = graph.circle()
    return graph.upward(ORDER, ranks) + ([] if circle is None else [f'circle: {circle}'])


def test_no_test_module_imports_another():
    importing = re.compile(r'^\s*(?:from|import) +\.*(?:tests\.)?(?:\w+\.)*test_\w+', re.M)
    found = {path.relative_to(ROOT).as_posix(): lines
             for path in (ROOT / 'tests').rglob('*.py')
             if (lines := importing.findall(path.read_text()))}
    assert found == {}, 'what tests share belongs in tests/support'


def test_the_project():
    assert violations(ROOT) == []


@pytest.fixture
def project(tmp_path):
    """A small project without violations, and a function that adds files to it."""
    def write(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / f'{name.replace("__", "/")}.py'
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.parent != tmp_path / 'tools':
                (path.parent / '__init__.py').touch()
            path.write_text(text)
        return tmp_path

    write(tools__train='import eca_mm\nfrom eca_mm.engine.runner import run\n',
          eca_mm__engine__runner='import json\nfrom eca_mm.layers.eca import ECA\n',
          eca_mm__engine__loops='from . import runner\nfrom .runner import run\n',
          eca_mm__layers__eca='import torch\nfrom .base import Base\nfrom ..utils import x\n',
          eca_mm__layers__base='', eca_mm__utils__x='')
    (tmp_path / 'eca_mm/layers/__init__.py').write_text('from .eca import ECA\n')
    (tmp_path / 'eca_mm/__init__.py').write_text('from .layers import ECA\n'
                                                 'from .engine.runner import run\n')
    return write


def test_downward_imports_pass(project):
    assert violations(project()) == []


@pytest.mark.parametrize('text', [
    'import eca_mm.engine.runner',
    'import eca_mm.engine.runner as r',
    'from eca_mm.engine.runner import run',
    'from eca_mm.engine import runner',
    'from ..engine import runner',
    'from ..engine.runner import run',
    'def f():\n    from eca_mm.engine.runner import run',
    'class A:\n    def f(self):\n        import eca_mm.engine.runner',
    'if TYPE_CHECKING:\n    from eca_mm.engine.runner import run',
    'import importlib\nimportlib.import_module("eca_mm.engine.runner")',
    'from importlib import import_module\nx = import_module(name="eca_mm.engine.runner")',
    'import importlib\nimportlib.import_module("..engine.runner", "eca_mm.layers")',
    'import importlib\nimportlib.import_module("..engine.runner", __package__)',
    '__import__("eca_mm.engine.runner")',
    'from eca_mm import run',
    'from .. import run',
    'import eca_mm\ndef f():\n    return eca_mm.run()',
    'import eca_mm\ndef f():\n    return eca_mm.engine.runner.run()',
    'import eca_mm as e\ne.engine.runner.run()',
])
def test_upward_imports_fail_and_name_both_files(project, text):
    root = project(eca_mm__layers__base=text)
    found = [v for v in violations(root) if v.startswith('eca_mm/layers/base.py')]
    assert any('eca_mm/engine/runner.py' in v and 'engine stands above layers' in v for v in found)


def test_the_package_itself_stands_above_its_folders(project):
    found = violations(project(eca_mm__layers__base='import eca_mm\n'))
    assert any('eca_mm/layers/base.py:1 imports eca_mm/__init__.py' in v for v in found)


@pytest.mark.parametrize('text', [
    'from .loops import Loop',
    'def f():\n    from .loops import Loop',
    'def f():\n    from eca_mm.engine import loops',
    'from . import loops',
])
def test_circle_between_modules_of_a_folder(project, text):
    found, = violations(project(eca_mm__engine__runner=text))
    assert found.startswith('circle: ')
    assert 'eca_mm/engine/runner.py' in found and 'eca_mm/engine/loops.py' in found


@pytest.mark.parametrize('text', ['import train', 'from train import main'])
def test_circle_between_scripts(project, text):
    found, = violations(project(tools__train='import launch\n', tools__launch=text))
    assert found.startswith('circle: ')
    assert 'tools/train.py:1' in found and 'tools/launch.py:1' in found


def test_circle_through_the_folder_itself(project):
    found, = violations(project(eca_mm__layers__base='from eca_mm.layers import ECA'))
    assert 'eca_mm/layers/base.py:1 imports eca_mm/layers/' in found


def test_folder_without_a_place(project):
    assert violations(project(eca_mm__extras__x='')) == [
        'eca_mm/extras has no place in the order of folders']


def test_other_packages_and_words_do_not_count(project):
    assert violations(project(eca_mm__layers__base=(
        'import torch.utils\nfrom mmengine.engine import runner\nengine = object()\n'
        'engine.runner\nname = "eca_mm.engine.runner"\nimport_module(name)\n'))) == []
