"""Folders with tiny data and configs, where the tools are run."""
import shutil

import pytest

from tests.support import samples
from tests.support.processes import run_tool


def _draw(folder):
    samples.draw_coco(folder / 'coco data')
    samples.draw_classes(folder / 'classes')
    samples.write_config(folder / 'det.py', samples.DETECTION, folder / 'coco data')
    samples.write_config(folder / 'cls.py', samples.CLASSIFICATION, folder / 'classes')
    return folder


@pytest.fixture
def folder(tmp_path):
    """Working directory with det.py and cls.py, configs on data drawn beside them."""
    return _draw(tmp_path)


@pytest.fixture(scope='session')
def trained_once(tmp_path_factory):
    """Such a directory after one training of each, and what the two trainings printed."""
    folder = _draw(tmp_path_factory.mktemp('trained'))
    return folder, [run_tool(folder, 'train.py', config) for config in ('det.py', 'cls.py')]


@pytest.fixture
def trained(trained_once, tmp_path):
    """A copy of that directory to work in; its data are those of the original."""
    source, results = trained_once
    assert all(result.returncode == 0 for result in results), results
    return shutil.copytree(source, tmp_path / 'trained')
