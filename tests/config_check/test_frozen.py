"""All frozen parameters that no weights fill are named."""
import pytest
import torch
from mmengine.config import Config
from mmengine.model.weight_init import PretrainedInit
from mmengine.registry import MODELS, DefaultScope

from eca_mm.config_check import ConfigContext, frozen

SMALL = dict(base_channels=8, stem_channels=8)


@pytest.fixture
def weights(tmp_path):
    """Writes a file with the backbone's weights but for some, under a prefix."""
    backbone = MODELS.build(dict(type='eca_mm.ECAResNet', depth=18, **SMALL))

    def write(*without, prefix='backbone.'):
        path = tmp_path / f'{"-".join(without)}_{prefix}pth'
        torch.save({'state_dict': {f'{prefix}{name}': value
                                   for name, value in backbone.state_dict().items()
                                   if not any(part in name for part in without)}}, path)
        return str(path)

    return write


def check(load_from=None, init_cfg=None, **options):
    backbone = dict(type='eca_mm.ECAResNet', depth=18, **SMALL, frozen_stages=1)
    backbone.update({'init_cfg': init_cfg, **options})
    config = Config(dict(default_scope='mmpretrain', load_from=load_from,
                         model=dict(type='ImageClassifier', backbone=backbone)))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return list(frozen.check(ConfigContext(config)))


def pretrained(path, prefix='backbone.'):
    return dict(type='Pretrained', checkpoint=path, prefix=prefix)


def test_all_filled(weights):
    assert check(load_from=weights()) == []
    assert check(init_cfg=pretrained(weights())) == []
    assert check(init_cfg=dict(type='Pretrained', checkpoint=weights(prefix=''))) == []
    path = weights(prefix='module.backbone.')
    assert check(load_from=path) == check(init_cfg=pretrained(path, 'module.backbone')) == []


def test_an_attention_without_weights_is_not_frozen(weights):
    assert check(load_from=weights('.eca.')) == []
    assert check(init_cfg=pretrained(weights('.eca.'))) == []


@pytest.mark.parametrize('where', ['load_from', 'init_cfg', 'by class'])
def test_every_one_is_named(weights, where):
    path = weights('layer1.0.conv1', 'layer1.1.bn2', 'layer2.0.conv1')
    finding, = check(path) if where == 'load_from' else check(init_cfg=dict(
        pretrained(path), type='Pretrained' if where == 'init_cfg' else PretrainedInit))
    assert (finding.level, finding.check, finding.where) == ('error', 'frozen', 'model')
    assert finding.message.startswith('3 frozen parameters ')
    assert finding.message.endswith('backbone.layer1.0.conv1.weight, backbone.layer1.1.bn2.weight, '
                                    'backbone.layer1.1.bn2.bias')


def test_two_files_fill_together(weights):
    path = weights('layer1.0.conv1', 'layer1.1.bn2', 'layer2.0.conv1')
    assert check(init_cfg=pretrained(path), load_from=weights('conv1')) != []
    assert check(init_cfg=pretrained(weights('layer1.0')), load_from=weights('layer1.')) != []
    assert check(init_cfg=pretrained(weights('layer1.0')), load_from=weights('layer1.1')) == []


def test_other_shapes_do_not_fill(weights):
    message = check(load_from=weights(), base_channels=16)[0].message
    assert 'backbone.layer1.0.conv1.weight' in message and 'backbone.conv1.weight' not in message


def test_what_is_on_the_web_counts_as_complete(weights):
    assert check(init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18')) == []
    assert check(load_from='https://example.org/a.pth') == []
