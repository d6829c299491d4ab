"""The installed wheel used as mim does: by the content of its ``.mim``."""
import json

import pytest

LOOK = """
import json, sys
from pathlib import Path

import eca_mm
import mmpretrain
from mmengine.hub import get_config
from mmengine.utils import get_installed_path
from modelindex.load_model_index import load

mim = Path(get_installed_path('eca_mm')) / '.mim'
index = load(str(mim / 'model-index.yml'))
index.build_models_with_collections()
detector = get_config('eca_mm::retinanet/retinanet_eca-r50_fpn_4xb2-1x_coco.py')
classifier = mmpretrain.get_model('eca-resnet18-k3577_4xb64_in1k')
print(json.dumps(dict(
    mim=str(mim),
    indexed=sorted({model.config for model in index.models}),
    configs=sorted(str(path.relative_to(mim)) for path in (mim / 'configs').glob('[!_]*/*.py')
                   if path.parent.name != 'demo'),
    listed=mmpretrain.list_models('*eca*'),
    backbone=detector.model.backbone.type,
    source=classifier._config.filename,
    parameters=sum(p.numel() for p in classifier.parameters()))))
"""


@pytest.fixture(scope='module')
def seen(installed, tmp_path_factory):
    """What a process with the wheel sees, outside of any checkout."""
    folder = tmp_path_factory.mktemp('elsewhere')
    return json.loads(installed.run(folder, '-W', 'ignore', '-c', LOOK).splitlines()[-1])


@pytest.mark.slow
def test_every_config_is_there_and_in_the_index(installed, seen):
    assert seen['mim'].startswith(str(installed.site_packages))
    assert seen['indexed'] == seen['configs'] and len(seen['configs']) > 80


@pytest.mark.slow
def test_models_by_name(installed, seen):
    assert 'eca-resnet18-k3577_4xb64_in1k' in seen['listed']
    assert len(seen['listed']) > 15
    assert seen['source'].startswith(str(installed.site_packages))
    assert seen['parameters'] == 11_689_556
    assert seen['backbone'] == 'ECAResNet'


@pytest.mark.slow
def test_tools_run_from_the_wheel(installed, seen, tmp_path):
    printed = installed.run(
        tmp_path, f'{seen["mim"]}/tools/analysis_tools/complexity.py',
        f'{seen["mim"]}/configs/eca_resnet/eca-resnet50-k3557_4xb64_in1k.py')
    assert '25,557,112' in printed
    for tool in ('demo.py', 'deployment/export_onnx.py', 'model_converters/publish.py'):
        assert 'example: ' in installed.run(tmp_path, f'{seen["mim"]}/tools/{tool}', '--help')
