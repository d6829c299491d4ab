"""Names say what a config is, and every list of configs is complete."""
import itertools
import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.hub import get_config
from mmpretrain.apis import ModelHub, get_model

from tests.support.catalog import ALL_CONFIGS, ROOT, load, metafiles

# `make lint` runs all of them.
pytestmark = pytest.mark.slow

CLASSIFIER = re.compile(r'(?P<model>[a-z0-9.-]+?)(-k(?P<kernel>\d+))?_\d+xb(?P<batch>\d+)'
                        r'(-rsb-a[123]-\d+e)?_(in1k|cifar10)')
DETECTOR = re.compile(
    r'(?P<model>[a-z0-9-]+)_(?P<attention>[a-z]+-)?(r(?P<depth>\d+)d?|tiny|s)(_fpn)?(_gn-head)?'
    r'_\d+xb(?P<batch>\d+)-(1x|\d+e)_coco')
EVENTS = re.compile(
    r'(?P<model>[a-z-]+)_2xr50-(?P<fusion>eca|se|cbam|concat|frames|events)_fpn_'
    r'(dsec|ddd17|dsec-det)(?P<published>-published)?')


@pytest.mark.parametrize('name', ALL_CONFIGS)
def test_name_matches_the_config(name):
    config = load(name)
    folder, _, file = name.removesuffix('.py').partition('/')
    if folder == 'event_fusion':
        check_two_streams(EVENTS.fullmatch(file), config.model)
        return
    match = (DETECTOR if name.endswith('_coco.py') else CLASSIFIER).fullmatch(file)
    assert match, 'not in the scheme of configs/README.md'
    assert config.train_dataloader.batch_size == int(match['batch'])
    backbone = config.model.backbone
    if 'depth' in match.groupdict():
        # A cascade with masks is a CascadeRCNN with one more head, and RTMDet-Ins an RTMDet.
        name = match['model'].replace('cascade-mask-', 'cascade-').removesuffix('-ins')
        assert config.model.type.lower() == name.replace('-', '')
        assert match['depth'] is None or backbone.depth == int(match['depth'])
    if folder in ('faster_rcnn', 'mask_rcnn', 'retinanet'):
        assert folder == match['model'].replace('-', '_')
        assert (backbone.type == 'ECAResNet') == (match['attention'] == 'eca-')
    elif folder == 'eca_resnet':
        assert backbone.type == ('AttentionResNet' if '-ns-' in file else 'ECAResNet')
        assert match['model'].replace('-ns', '') == f'eca-resnet{backbone.depth}'
    elif folder == 'eca_mobilenet_v2':
        assert (backbone.type, match['model']) == ('ECAMobileNetV2', 'eca-mobilenet-v2')
    elif backbone.type == 'WithAttention':
        assert backbone.attention == dict(type='ECALayer')
        assert file.startswith('eca-') or match['attention'] == 'eca-'


def check_two_streams(match: re.Match, model) -> None:
    """Streams, fusion, data and training of a config of frames and events are those of its name."""
    backbone = model.backbone
    streams = [name for name in ('frame', 'event') if backbone[name]]
    fusion = match['fusion']
    assert streams == {'frames': ['frame'], 'events': ['event']}.get(fusion, ['frame', 'event'])
    assert all(backbone[name].depth == 50 for name in streams)
    assert (backbone.fusion or {}).get('attention', {}).get('type') == {
        'eca': 'ECALayer', 'se': 'SELayer', 'cbam': 'CBAM'}.get(fusion)
    assert all(backbone[name].norm_eval == bool(match['published']) for name in streams)
    assert model.type.lower() == match['model'].replace('-', '')


def test_every_config_is_in_exactly_one_metafile():
    listed = [model['Config'] for content in metafiles().values() for model in content['Models']]
    assert sorted(listed) == sorted(f'configs/{name}' for name in ALL_CONFIGS)
    folders = {name.partition('/')[0] for name in ALL_CONFIGS}
    assert set(metafiles()) == {f'configs/{folder}/metafile.yml' for folder in folders}


@pytest.mark.parametrize('path', metafiles())
def test_metafile_entries_fit_their_folder(path):
    content = metafiles()[path]
    collection, = content['Collections']
    assert re.fullmatch(r'https://arxiv\.org/abs/\d{4}\.\d{5}', collection['Paper']['URL'])
    assert (ROOT / collection['README']).is_file()
    for model in content['Models']:
        assert model['In Collection'] == collection['Name']
        assert Path(model['Config']).stem == model['Name']
        assert Path(model['Config']).parent == Path(path).parent
        assert Path(collection['README']) == Path(path).with_name('README.md')
        config = load(model['Config'].removeprefix('configs/'))
        settings = {**collection['Metadata'], **model['Metadata']}
        assert settings['Epochs'] == config.train_cfg.max_epochs
        assert settings['Batch Size'] == config.auto_scale_lr.base_batch_size
        # Whoever reads an accuracy must see that it was not measured here.
        source = model['Metadata'].get('Source of Results', '')
        assert ('not reproduced here' in source) == ('Results' in model)


def test_mmpretrain_finds_the_models_by_name(monkeypatch):
    monkeypatch.setattr(ModelHub, '_models_dict', {})
    monkeypatch.setattr(ModelHub, '_ModelHub__mmpretrain_registered', True)
    ModelHub.register_model_index(ROOT / 'model-index.yml', config_prefix=ROOT)
    assert len(ModelHub._models_dict) == len(ALL_CONFIGS)
    model = get_model('eca-resnet18-k3577_4xb64_in1k')
    assert type(model.backbone).__name__ == 'ECAResNet'
    assert model._metainfo.results[0].metrics['Top 1 Accuracy'] == 70.78
    assert 'not reproduced here' in model._metainfo.metadata.data['Source of Results']


@pytest.mark.parametrize('name', {name.partition('/')[0]: name for name in ALL_CONFIGS}.values())
def test_config_is_found_by_its_scope(name):
    assert get_config(f'eca_mm::{name}').model == load(name).model


@pytest.mark.parametrize('name', [
    'faster_rcnn/faster-rcnn_eca-r50_fpn_4xb2-1x_coco.py',
    'eca_mobilenet_v2/eca-mobilenet-v2-k13_4xb24_in1k.py',
    'demo/mask-rcnn_eca-r18-w32_fpn_1xb4-750it_shapes.py',
    'demo/eca-mobilenet-v2_1xb32-10e_imagenet200.py',
])
def test_config_can_be_inherited_from_anywhere(name, tmp_path):
    child = tmp_path / 'child.py'
    child.write_text(f"_base_ = 'eca_mm::{name}'\ntrain_cfg = dict(max_epochs=3)\n")
    config = Config.fromfile(child)
    assert config.model == load(name).model
    assert config.train_cfg.max_epochs == 3
    # mmengine would look for a registry of the scope that it inherits from, and warn.
    assert 'eca_mm' not in scopes(config.to_dict())


def scopes(node) -> set:
    """All values of ``_scope_`` in a nested config."""
    if isinstance(node, dict):
        return {node.get('_scope_')}.union(*map(scopes, node.values()))
    return set().union(*map(scopes, node)) if isinstance(node, list | tuple) else set()


def test_every_delete_has_a_comment():
    for path in (ROOT / 'configs').rglob('*.py'):
        lines = path.read_text().splitlines()
        for before, line in itertools.pairwise(lines):
            assert '_delete_' not in line.partition('#')[0] or '#' in line or (
                before.strip().startswith('#')), f'{path.name}: {line.strip()}'


@pytest.mark.parametrize('path', sorted(
    path.relative_to(ROOT / 'configs').as_posix()
    for path in (ROOT / 'configs' / '_base_').rglob('*.py')))
def test_pieces_are_used(path):
    users = [*(ROOT / 'configs').rglob('*.py')]
    assert any(path in user.read_text() for user in users)
