"""Changes to other packages are made in one folder only, and are all listed."""
import ast
import subprocess
import sys
from pathlib import Path

import pytest

from eca_mm.compat.changes import CHANGES, table

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / 'eca_mm'
# Calls that change the state of their module for the whole process.
CALLS = {'filterwarnings', 'simplefilter', 'add_safe_globals', 'register_backend',
         'register_scheme', 'setattr', 'set_default_dtype', 'set_num_threads'}


def changes_in(source: str) -> list[int]:
    """Lines that change something of a module imported from elsewhere."""
    tree, found = ast.parse(source), []
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name.partition('.')[0] for alias in node.names
                      if not alias.name.startswith('eca_mm')}
        elif isinstance(node, ast.ImportFrom) and not node.level and not str(
                node.module).startswith('eca_mm'):
            names |= {alias.asname or alias.name for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.With) and 'catch_warnings' in ast.unparse(node.items[0]) + ''.join(
                ast.unparse(item) for item in node.items):
            # Undone at the end of the block.
            for inner in ast.walk(node):
                inner.undone = True
        elif isinstance(node, ast.Try) and node.finalbody:
            # What is called again in the end is undone.
            names_in_end = {_called(inner) for part in node.finalbody for inner in ast.walk(part)}
            for inner in ast.walk(node):
                if isinstance(inner, ast.Call) and _called(inner) in names_in_end:
                    inner.undone = True
    for node in ast.walk(tree):
        if hasattr(node, 'undone'):
            continue
        if isinstance(node, ast.Assign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                for part in getattr(target, 'elts', [target]):
                    root = part
                    while isinstance(root, ast.Attribute | ast.Subscript):
                        root = root.value
                    if root is not part and isinstance(root, ast.Name) and root.id in names \
                            and ast.unparse(part) != 'sys.argv' \
                            and 'environ' not in ast.unparse(part):
                        found.append(node.lineno)
        elif isinstance(node, ast.Call):
            name = _called(node)
            foreign = not node.args or ast.unparse(node.args[0]).partition('.')[0] in names
            if name in CALLS and (name != 'setattr' or foreign):
                found.append(node.lineno)
    return found


def _called(node):
    func = getattr(node, 'func', None)
    return getattr(func, 'attr', getattr(func, 'id', ''))


def test_nothing_outside_of_the_folder_changes_other_packages():
    found = {path.relative_to(ROOT).as_posix(): lines for path in PACKAGE.rglob('*.py')
             if path.parent.name != 'compat' and 'compat' not in path.relative_to(PACKAGE).parts
             and (lines := changes_in(path.read_text()))}
    assert found == {}


@pytest.mark.parametrize(('source', 'lines'), [
    ('import torch\ntorch._dynamo.config.limit = 3', [2]),
    ('from mmengine.config import utils\nutils.TABLE["a"] = 1', [2]),
    ('import warnings\nwarnings.simplefilter("ignore")', [2]),
    ('import warnings\nwith warnings.catch_warnings():\n    warnings.simplefilter("ignore")', []),
    ('import warnings\nwith warnings.catch_warnings():\n    warnings.showwarning = print', []),
    ('import mmcv\nsetattr(mmcv, "x", 1)', [2]),
    ('import torch\ntorch.set_num_threads(1)', [2]),
    ('import torch\ntry:\n    torch.set_num_threads(1)\nfinally:\n    torch.set_num_threads(2)',
     []),
    ('import torch\ntry:\n    torch.set_num_threads(1)\nfinally:\n    print(2)', [3]),
    ('import os\nos.environ["A"] = "1"', []),
    ('def f(module):\n    module.x = 1', []),
])
def test_what_is_a_change(source, lines):
    assert changes_in(source) == lines


def test_the_table():
    assert table() in (PACKAGE / 'compat/README.md').read_text()


def test_every_change_is_a_function_with_a_reason():
    assert len({change.name for change in CHANGES}) == len(CHANGES)
    for change in CHANGES:
        assert change.function.__doc__ and change.reason.endswith('.') and change.versions
        assert change.function.__module__.startswith('eca_mm.compat.')
        module = change.function.__module__.rpartition('.')[2]
        assert (PACKAGE / f'compat/{module}.py').is_file()


def test_importing_a_module_of_the_folder_changes_nothing():
    # The package itself is replaced by an empty one, so that its __init__ does not run.
    code = f'''
import sys, types, warnings
package = types.ModuleType('eca_mm')
package.__path__ = [{str(PACKAGE)!r}]
sys.modules['eca_mm'] = package
import torch, mmengine.fileio, mmengine.config.utils, mmengine.registry, mmengine.runner.checkpoint
from mmengine.config import Config
def state():
    return (dict(mmengine.config.utils.MODULE2PACKAGE), Config._get_cfg_path,
            mmengine.registry.Registry._register_module, 'mmcv._ext' in sys.modules,
            dict(mmengine.fileio.io.backends), mmengine.runner.checkpoint.load_url,
            dict(mmengine.runner.checkpoint.CheckpointLoader._schemes),
            dict(vars(torch.serialization)), torch._dynamo.config.cache_size_limit,
            'mmpretrain.apis' in sys.modules,
            [entry for entry in warnings.filters if 'pkg_resources' in str(entry)])
before = state()
from eca_mm.compat import changes
assert state() == before, 'a leaf module has changed something'
'''
    subprocess.run([sys.executable, '-W', 'ignore', '-c', code], check=True, cwd=ROOT)
