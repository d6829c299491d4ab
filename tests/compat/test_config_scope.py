from mmengine.config import Config
from mmengine.config import utils as config_utils
from mmengine.hub import get_config


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
