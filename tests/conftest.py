"""What all tests share: thread settings, order, seeds and the real data sets."""
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

# Headless, and no more threads than a two-core machine has; before torch and matplotlib start.
os.environ.setdefault('MPLBACKEND', 'Agg')
if 'PYTEST_XDIST_WORKER' in os.environ:
    # Not setdefault: workers inherit what the controlling process has set for itself, and two of
    # them with two threads each spend most of their time waiting for each other.
    os.environ['OMP_NUM_THREADS'] = '1'
os.environ.setdefault('OMP_NUM_THREADS', '2')

import pytest
import torch
from mmengine.registry import DefaultScope

# Before any test module, so that those may import mmdet first, as import sorting has it.
import eca_mm  # noqa: F401

REPOSITORY = Path(__file__).resolve().parents[1]
# Folders whose files take minutes come first: at the end, no worker waits long for another's last
# file. Those of many short tests come last.
FIRST = ('downstream', 'tools', 'engine', 'docs', 'config_check', 'compat', 'configs', 'security')
LAST = ('utils', 'layers')

# The tools that tests start as processes find the interpreter's other programs (torchrun, say).
os.environ['PATH'] = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the folders that take longest; pytest-randomly shuffles after this."""
    ranks = {name: rank - len(FIRST) for rank, name in enumerate(FIRST)} | dict.fromkeys(LAST, 1)
    items.sort(key=lambda item: ranks.get(item.path.relative_to(REPOSITORY / 'tests').parts[0], 0))


@pytest.hookimpl(hookwrapper=True)
def pytest_collection() -> Iterator[None]:
    """Keep the garbage collector from visiting modules and collected tests in every test again."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def seed_torch():
    """The same random numbers in every run, whatever ran before."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope='module')
def no_default_scope():
    """Every module starts and ends without a default scope for the registries."""
    DefaultScope._instance_dict.clear()
    yield
    DefaultScope._instance_dict.clear()


@pytest.fixture(autouse=True)
def keep_default_scope():
    """No test leaves the default scope changed for the next one, as a Runner does."""
    before = DefaultScope._instance_dict.copy()
    yield
    # mmengine's own restoring puts another dict in its place.
    DefaultScope._instance_dict = before


def needs_half_on_cpu() -> None:
    """Skip the test where half precision is for GPUs only."""
    if torch.__version__ < (2, 3):
        pytest.skip(f'PyTorch {torch.__version__} has half precision on GPUs only')


def _data_root(variable: str, default: str, holds: str) -> Path:
    root = Path(os.environ.get(variable, REPOSITORY / default)).absolute()
    if not (root / holds).exists():
        pytest.skip(f'{root} has no {holds}: set {variable} to the folder that has it')
    return root


@pytest.fixture(scope='session')
def coco_root() -> Path:
    """The folder of COCO 2017: ``train2017/``, ``val2017/`` and ``annotations/``."""
    return _data_root('ECA_MM_COCO_ROOT', 'data/coco', 'annotations/instances_val2017.json')


@pytest.fixture(scope='session')
def imagenet_root() -> Path:
    """A folder of ImageNet images: ``train/<synset>/`` and ``val/<synset>/``."""
    return _data_root('ECA_MM_IMAGENET_ROOT', 'data/imagenet', 'val')
