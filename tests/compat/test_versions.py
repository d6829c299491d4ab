import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import eca_mm
from eca_mm.compat import versions
from eca_mm.utils.errors import UserError

ROOT = Path(eca_mm.__file__).parents[1]
STOCK = {
    'python': '3.11.7', 'torch': '2.12.1', 'torchvision': '0.27.1', versions.BUILT_FOR: '2.12.1',
    'numpy': '2.4.6', 'mmengine': '0.10.7', 'mmcv-lite': '2.1.0', 'mmdet': '3.3.0',
    'mmpretrain': '1.2.0', 'setuptools': '65.5.0',
}
FORK = {
    'python': '3.12.1', 'torch': '2.12.1', 'torchvision': '0.27.1', versions.BUILT_FOR: '2.12.1',
    'numpy': '2.4.6', 'onedl-mmengine': '0.10.12', 'onedl-mmcv': '2.3.6',
    'onedl-mmdetection': '3.5.1', 'onedl-mmpretrain': '1.3.6', 'transformers': '5.1.0',
}
OLDEST = {
    **STOCK, 'python': '3.10.13', 'torch': '2.1.0+cpu', 'torchvision': '0.16.0+cpu',
    versions.BUILT_FOR: '2.1.0', 'numpy': '1.26.4',
}


def changed(base, *without, **versions):
    kept = {k: v for k, v in base.items() if k not in without}
    return {**kept, **{k.replace('_', '-'): v for k, v in versions.items()}}


@pytest.mark.parametrize('good', [
    STOCK, FORK, OLDEST,
    changed(STOCK, 'mmcv-lite', mmcv='2.1.0'),
    changed(STOCK, mmcv='2.1.0'),  # compiled mmcv over mmcv-lite of the same version
    changed(STOCK, transformers='4.57.1'),
    changed(STOCK, versions.BUILT_FOR),  # a torchvision whose metadata pins nothing
    changed(STOCK, python='3.13.0', torch='2.12.1+cu130'),
    changed(STOCK, torch=versions.UNKNOWN, mmcv_lite=versions.UNKNOWN),
])
def test_working_combinations_pass(good):
    versions.check(good)


@pytest.mark.parametrize('bad, named, advice', [
    (changed(STOCK, 'mmcv-lite'), 'needs mmcv', 'pip install mmcv-lite==2.1.0'),
    (changed(STOCK, 'mmdet'), 'needs mmdet', 'pip install mmdet==3.3.0'),
    (changed(STOCK, 'torchvision'), 'needs torchvision', 'pip install torch torchvision'),
    (changed(STOCK, 'mmcv-lite', mmcv='2.2.0'), 'mmcv 2.2.0', 'pip install mmcv-lite==2.1.0'),
    (changed(STOCK, 'mmcv-lite', onedl_mmcv='2.3.6'), 'onedl-mmcv 2.3.6',
     'pip uninstall onedl-mmcv'),
    (changed(STOCK, 'mmcv-lite', mmcv_full='1.7.2'), 'mmcv-full 1.7.2',
     'pip install mmcv-lite==2.1.0'),
    (changed(STOCK, mmcv='2.0.1'), 'mmcv 2.0.1 and mmcv-lite 2.1.0',
     'pip uninstall mmcv mmcv-lite'),
    (changed(STOCK, transformers='5.0.0'), 'transformers 5.0.0', 'pip install "transformers<5"'),
    (changed(STOCK, torch='2.13.0+cpu'), 'torch 2.13.0+cpu',
     'pip install torch==2.12.1 torchvision==0.27.1'),
    (changed(OLDEST, torch='2.0.1', **{versions.BUILT_FOR: '2.0.1'}), 'torch 2.1', 'pip install'),
    (changed(OLDEST, numpy='2.0.0'), 'numpy 2.0.0', 'pip install "numpy<2"'),
    (changed(STOCK, 'setuptools'), 'pkg_resources', 'pip install "setuptools<81"'),
    (changed(STOCK, setuptools='82.0.1'), 'setuptools 82.0.1', 'pip install "setuptools<81"'),
    (changed(STOCK, python='3.9.18'), 'Python 3.9.18', '3.10 to 3.13'),
    (changed(STOCK, python='3.14.0'), 'Python 3.14.0', '3.10 to 3.13'),
])
def test_wrong_combinations_give_a_one_line_error(bad, named, advice):
    with pytest.raises(UserError) as error:
        versions.check(bad)
    sentence = str(error.value)
    assert named in sentence and advice in sentence
    assert '\n' not in sentence and sentence.endswith('.')


def test_the_installed_versions_are_read_from_metadata():
    found = versions.installed()
    assert found['torch'].split('+')[0] == torch.__version__.split('+')[0]
    assert any(name in found for name in versions.PROVIDERS['mmcv'])
    versions.check(found)


def import_eca_mm(folder, *options):
    """Imports eca_mm in a new process that sees `folder` first; returns its error lines."""
    path = os.pathsep.join([str(folder), str(ROOT)])
    run = subprocess.run([sys.executable, *options, '-c', 'import eca_mm'], check=False,
                         text=True, capture_output=True, env={**os.environ, 'PYTHONPATH': path})
    assert run.returncode == 1
    return run.stderr.strip().splitlines()


def write_distributions(folder, found):
    for name, version in found.items():
        if name not in ('python', versions.BUILT_FOR):
            info = folder / f'{name.replace("-", "_")}-{version}.dist-info'
            info.mkdir()
            (info / 'METADATA').write_text(
                f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')


def test_nothing_installed(tmp_path):
    # Without site-packages, even torch is missing.
    errors = import_eca_mm(tmp_path, '-S')
    assert errors[-1].startswith('eca_mm.utils.errors.UserError: eca_mm needs torch,')


def test_an_mmcv_that_mmdet_refuses(tmp_path):
    write_distributions(tmp_path, changed(STOCK, 'mmcv-lite', mmcv='2.2.0'))
    errors = import_eca_mm(tmp_path, '-S')
    assert 'UserError: mmdet 3.3.0 refuses mmcv 2.2 and newer but mmcv 2.2.0' in errors[-1]


def test_transformers_5(tmp_path):
    write_distributions(tmp_path, changed(STOCK, transformers='5.2.0'))
    errors = import_eca_mm(tmp_path, '-S')
    assert 'UserError: mmpretrain 1.2.0 cannot be imported with transformers 5.2.0' in errors[-1]


@pytest.mark.slow
def test_a_torchvision_whose_operators_do_not_load(tmp_path):
    # The error of a torchvision for another torch on import, if its metadata is silent.
    package = tmp_path / 'torchvision'
    package.mkdir()
    (package / '__init__.py').write_text(
        'raise RuntimeError("operator torchvision::nms does not exist")')
    errors = import_eca_mm(tmp_path)
    assert 'UserError: The installed torchvision does not work with torch' in errors[-1]
    assert 'torchvision::nms does not exist' in errors[-1] and 'pip install' in errors[-1]
