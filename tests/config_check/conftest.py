"""A detector's and a classifier's config without any problem."""
import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

from eca_mm.engine.config import load_config
from tests.support import samples
from tests.support.config_checks import NARROW, NECK
from tests.support.processes import ROOT


@pytest.fixture(scope='session')
def root(tmp_path_factory):
    """A folder with COCO data of 3 classes, folders of 3 classes, and ResNet-18's weights."""
    root = tmp_path_factory.mktemp('data')
    samples.give_masks(samples.draw_coco(root / 'coco'))
    samples.draw_classes(root / 'classes', images=1)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        backbone = MODELS.build(dict(type='ECAResNet', depth=18, **NARROW))
    weights = {f'backbone.{name}': value for name, value in backbone.state_dict().items()}
    torch.save({'state_dict': weights}, root / 'r18.pth')
    torch.save({name: value for name, value in weights.items() if '.eca.' not in name},
               root / 'plain.pth')
    torch.save({**weights, 'backbone.layer3.5.conv1.weight': torch.zeros(1)}, root / 'deeper.pth')
    return root


@pytest.fixture(scope='session')
def detector(root):
    """A Mask R-CNN with the paper's settings on those data: nothing to object to."""
    config = load_config(str(ROOT / 'configs/mask_rcnn/mask-rcnn_eca-r50_fpn_4xb2-1x_coco.py'))
    config.merge_from_dict({
        'model.backbone.depth': 18, 'model.backbone.init_cfg.checkpoint': str(root / 'r18.pth'),
        **{f'model.backbone.{key}': value for key, value in NARROW.items()},
        'model.backbone.kernel_size': 'adaptive', 'model.neck.in_channels': NECK[18],
        # Narrow heads, for speed.
        'model.neck.out_channels': 32, 'model.rpn_head.in_channels': 32,
        'model.rpn_head.feat_channels': 32, 'model.roi_head.bbox_roi_extractor.out_channels': 32,
        'model.roi_head.mask_roi_extractor.out_channels': 32,
        'model.roi_head.mask_head.in_channels': 32,
        'model.roi_head.mask_head.conv_out_channels': 32,
        'model.roi_head.bbox_head.in_channels': 32, 'model.roi_head.bbox_head.fc_out_channels': 32,
        'model.test_cfg.rpn.nms_pre': 100, 'model.test_cfg.rpn.max_per_img': 20,
        'model.roi_head.bbox_head.num_classes': 3, 'model.roi_head.mask_head.num_classes': 3})
    for split in ('train', 'val', 'test'):
        config.merge_from_dict({f'{split}_dataloader.dataset': dict(
            data_root=str(root / 'coco'), ann_file='annotations.json',
            data_prefix=dict(img='images/'), metainfo=dict(classes=samples.CLASSES))})
        if split != 'train':
            config[f'{split}_evaluator'].ann_file = str(root / 'coco/annotations.json')
    return config


@pytest.fixture(scope='session')
def classifier(root):
    """An ECA-ResNet-18 on folders of three classes: nothing to object to."""
    config = load_config(str(ROOT / 'configs/eca_resnet/eca-resnet18_4xb64_in1k.py'))
    config.model.backbone.update(NARROW)
    config.model.head.update(num_classes=3, topk=(1, ), in_channels=128)
    config.data_preprocessor.num_classes = 3
    for split in ('train', 'val', 'test'):
        loader = config[f'{split}_dataloader']
        loader.dataset = dict(type='CustomDataset', data_root=str(root / 'classes'),
                              pipeline=loader.dataset.pipeline)
        if split != 'train':
            config[f'{split}_evaluator'].topk = (1, )
    return config
