import pytest
from mmengine.config import Config
from mmengine.config import utils as config_utils
from mmengine.hub import get_config
from mmengine.registry import TRANSFORMS, DefaultScope


def test_a_config_inherits_through_the_scope(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("_base_ = ['eca_mm::eca_resnet/eca-resnet50-k3557_4xb64_in1k.py']\n"
                      'model = dict(head=dict(num_classes=7))\n')
    inherited = Config.fromfile(config)
    assert inherited.model.backbone.type == 'ECAResNet'
    assert inherited.model.head.num_classes == 7


def test_the_hub_finds_configs_by_their_scope():
    config = get_config('eca_mm::faster_rcnn/faster-rcnn_eca-r50_fpn_4xb2-1x_coco.py')
    assert config.model.type.endswith('FasterRCNN')


def test_other_scopes_stay():
    assert config_utils.MODULE2PACKAGE['mmdet'] == 'mmdet'


@pytest.mark.parametrize('base', [
    'demo/mask-rcnn_eca-r18_fpn_1xb4-400it_shapes.py',
    'demo/eca-mobilenet-v2_1xb32-10e_imagenet200.py'])
def test_what_is_inherited_is_built_as_in_our_config(tmp_path, base):
    """Also by what takes over a part of it, which mmengine would look for in a scope `eca_mm`."""
    (tmp_path / 'config.py').write_text(
        f"_base_ = 'eca_mm::{base}'\nval_dataloader = {{{{_base_.test_dataloader}}}}\n")
    config = Config.fromfile(tmp_path / 'config.py')
    with DefaultScope.overwrite_default_scope(config.default_scope):
        for loader in (config.train_dataloader, config.val_dataloader):
            for step in loader.dataset.pipeline:
                assert TRANSFORMS.build(step) is not None
    assert 'eca_mm' not in {value.get('_scope_') for value in dicts(config._cfg_dict)}


def dicts(node):
    if isinstance(node, dict):
        yield node
    for value in node.values() if isinstance(node, dict) else node:
        if isinstance(value, dict | list | tuple):
            yield from dicts(value)
