import pytest
from mmdet.datasets.transforms import LoadAnnotations
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


def test_what_takes_over_a_part_of_our_config_builds_what_ours_does(tmp_path):
    (tmp_path / 'config.py').write_text(
        "_base_ = 'eca_mm::demo/mask-rcnn_eca-r18-w32_fpn_1xb4-750it_shapes.py'\n"
        'val_dataloader = {{_base_.test_dataloader}}\n')
    config = Config.fromfile(tmp_path / 'config.py')
    with DefaultScope.overwrite_default_scope(config.default_scope):
        for loader in (config.train_dataloader, config.val_dataloader):
            # mmcv has a LoadAnnotations too, which knows no masks.
            with DefaultScope.overwrite_default_scope(loader.dataset.get('_scope_')):
                step, = (step for step in loader.dataset.pipeline
                         if step.type == 'LoadAnnotations')
                assert isinstance(TRANSFORMS.build(step), LoadAnnotations)


def test_bases_of_other_packages_are_found_without_their_metafiles(tmp_path, monkeypatch):
    def read(*args):
        raise AssertionError(f'read a metafile: {args}')

    (tmp_path / 'config.py').write_text(
        "_base_ = ['mmdet::_base_/models/faster-rcnn_r50_fpn.py',\n"
        "          'mmpretrain::_base_/schedules/imagenet_bs256.py']\n")
    expected = Config.fromfile(tmp_path / 'config.py')
    monkeypatch.setattr(config_utils, '_get_cfg_metainfo', read)
    config = Config.fromfile(tmp_path / 'config.py')
    assert config.to_dict() == expected.to_dict()
    assert config.model._scope_ == 'mmdet'


@pytest.mark.parametrize(('base', 'error'), [
    ('mmdet::_base_/models/absent.py', FileNotFoundError),
    ('mmdet::absent.py', ValueError),
    ('nopackage::a/b.py', AssertionError),
])
def test_missing_names_are_left_to_mmengine(base, error, tmp_path):
    (tmp_path / 'config.py').write_text(f'_base_ = {base!r}\n')
    with pytest.raises(error):
        Config.fromfile(tmp_path / 'config.py')
