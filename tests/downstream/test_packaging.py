"""What the wheel, the source distribution and the editable install hold."""
import re
import tarfile
import zipfile

import pytest

import eca_mm
from tests.conftest import REPOSITORY
from tests.downstream.conftest import Environment

GET_CONFIG = ("import eca_mm, mmengine.hub as hub; print(eca_mm.__file__, hub.get_config("
              "'eca_mm::eca_resnet/eca-resnet50-k3557_4xb64_in1k.py').model.backbone.type)")


def shipped_files() -> set[str]:
    """What a wheel has to hold, told from the checkout."""
    package = {path.relative_to(REPOSITORY).as_posix()
               for path in (REPOSITORY / 'eca_mm').rglob('*.*')
               if path.is_file() and not {'.mim', '__pycache__'} & {*path.parts}}
    mim = {f'eca_mm/.mim/{path.relative_to(REPOSITORY).as_posix()}'
           for folder in ('configs', 'tools') for path in (REPOSITORY / folder).rglob('*.*')
           if path.suffix in ('.py', '.yml', '.md', '.sh') and path.is_file()}
    return package | mim | {'eca_mm/.mim/model-index.yml'}


def test_wheel_holds_modules_configs_and_tools_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if '.dist-info/' not in name}
    assert names == shipped_files()


def test_wheel_metadata(wheel):
    archive = zipfile.ZipFile(wheel)
    name, = (name for name in archive.namelist() if name.endswith('.dist-info/METADATA'))
    metadata = archive.read(name).decode()
    assert re.search(rf'^Name: eca-net-mm\nVersion: {re.escape(eca_mm.__version__)}$', metadata,
                     re.MULTILINE)
    required = re.findall(r'^Requires-Dist: ([\w-]+)(?:.*extra == "(\w+)")?', metadata,
                          re.MULTILINE)
    unconditional = {name for name, extra in required if not extra}
    assert {'mmdet', 'mmengine', 'mmpretrain', 'torch', 'torchvision'} <= unconditional
    # Either would overwrite the mmcv that somebody has already.
    assert not unconditional & {'mmcv', 'mmcv-lite'}
    assert {extra for _, extra in required} == {
        '', 'lite', 'onnx', 'openvino', 'events', 'seg', 'tests', 'docs', 'lint', 'all'}
    assert ('mmcv-lite', 'lite') in required


def test_source_distribution_holds_all_that_development_needs(distributions):
    archive, = distributions.glob('*.tar.gz')
    names = {name.partition('/')[2] for name in tarfile.open(archive).getnames()}
    assert {'LICENSE', 'README.md', 'Makefile', 'tests/conftest.py', 'tools/train.py',
            'requirements/constraints.txt', 'model-index.yml', '.dev_scripts/setup.sh',
            'CHANGELOG.md', 'docs/conf.py', 'docs/_static/model_zoo.js'} <= names


def test_wheel_works_outside_the_repository(installed, tmp_path):
    path, backbone = installed.run(tmp_path, '-W', 'ignore', '-c', GET_CONFIG).split()[-2:]
    assert path.startswith(str(installed.site_packages))
    assert backbone == 'ECAResNet'


@pytest.mark.slow
def test_editable_install_works_outside_the_repository(source, tmp_path):
    environment = Environment(tmp_path / 'env')
    environment.install('-e', source)
    output = environment.run(tmp_path, '-W', 'ignore', '-c', GET_CONFIG)
    assert f'{source}/eca_mm/__init__.py ECAResNet' in output


@pytest.mark.slow
def test_plain_python_path_works(source, tmp_path, monkeypatch):
    monkeypatch.setenv('PYTHONPATH', str(source))
    output = Environment(tmp_path / 'env').run(tmp_path, '-W', 'ignore', '-c', GET_CONFIG)
    assert f'{source}/eca_mm/__init__.py ECAResNet' in output


@pytest.mark.parametrize('name', ['configs', 'tools', 'model-index.yml'])
def test_links_are_relative(name):
    link = REPOSITORY / 'eca_mm' / '.mim' / name
    assert link.is_symlink() and link.readlink().as_posix() == f'../../{name}'
