"""The detectors beyond the paper's: they build and learn, without compiled operators."""
import pytest
import torch
from mmdet.testing import demo_mm_inputs
from mmengine.dataset import pseudo_collate
from mmengine.hub import get_config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, MODELS, init_default_scope

from eca_mm.backbones.with_attention import network_config
from eca_mm.layers import ECALayer
from tests.support.catalog import ALL_CONFIGS, PAPER_CONFIGS, load, unscoped

FAMILIES = [name for name in ALL_CONFIGS if name.endswith('_coco.py')
            and name not in PAPER_CONFIGS and not name.startswith('timm_')]
RESNETS = [name for name in FAMILIES if '_eca-r50' in name]
# A few seconds each; the others take longer or have no part that these do not have.
QUICK = ('atss', 'fcos', 'rtmdet/rtmdet_')


def with_masks(name: str) -> bool:
    return 'mask' in name or 'solo' in name or '-ins' in name


def annotated(dataset):
    """The config of the data set with annotations; YOLOX's is in one that mixes its images."""
    return dataset.get('dataset', dataset)


def build(name: str):
    """The config and its model, with the learning rate that warm-up starts from."""
    config = load(name)
    config.optim_wrapper.optimizer.lr *= 1e-3
    init_default_scope(config.default_scope)
    torch.manual_seed(0)
    network_config(config.model.backbone)[0].init_cfg = None
    config.model.data_preprocessor.batch_augments = None
    # As the runner does on one device.
    model = revert_sync_batchnorm(MODELS.build(config.model))
    # Sparse R-CNN's proposals are boxes only after this.
    model.init_weights()
    return config, model.train()


def take_step(model, optimizer, data) -> None:
    """Train with a batch; the loss is finite, and the backbone learns."""
    # A bias that starts at zero shows the smallest step.
    weight = [value for name, value in model.backbone.named_parameters() if 'bias' in name][-1]
    attention = [module for module in model.backbone.modules() if isinstance(module, ECALayer)][-1]
    before = weight.detach().clone()
    losses = model.train_step(data, optimizer)
    assert losses['loss'].isfinite() and losses['loss'] > 0
    assert weight.isfinite().all()
    assert weight.equal(before) != weight.requires_grad
    assert attention.conv.weight.requires_grad


def test_all_are_here():
    assert len(FAMILIES) == 11 and len(RESNETS) == 8


@pytest.mark.parametrize('name', [name for name in FAMILIES if name not in RESNETS])
def test_backbone_is_the_stock_one_with_eca(name):
    model = unscoped(load(name).model)
    stock = unscoped(get_config(f'mmdet::{name.replace("_eca-", "_")}').model)
    network = model['backbone']['network']
    assert model['backbone']['type'] == 'WithAttention'
    if 'init_cfg' in stock['backbone']:
        assert network.pop('init_cfg') == dict(
            type='Pretrained', checkpoint='checkpoints/cspnext-tiny.pth', prefix='backbone.')
        del stock['backbone']['init_cfg']
    assert network == stock['backbone']
    assert {**model, 'backbone': None} == {**stock, 'backbone': None}


@pytest.mark.parametrize('name', RESNETS)
def test_backbone_is_that_of_a_classification_config(name):
    backbone = load(name).model.backbone
    assert backbone.type == 'ECAResNet'
    trained = load('eca_resnet/eca-resnet50-k3557_4xb64_in1k.py').model.backbone
    assert (trained.depth, trained.kernel_size) == (backbone.depth, backbone.kernel_size)
    assert backbone.init_cfg == dict(
        type='Pretrained', checkpoint='checkpoints/eca-resnet50-k3557.pth', prefix='backbone.')
    # Nothing is left to defaults, in which mmpretrain and mmdet differ.
    assert (backbone.frozen_stages, backbone.norm_eval, backbone.style) == (1, True, 'pytorch')
    assert backbone.norm_cfg.type == 'BN'
    preprocessor = load(name).model.data_preprocessor
    assert preprocessor.bgr_to_rgb and preprocessor.mean == [123.675, 116.28, 103.53]


@pytest.mark.parametrize('name', FAMILIES)
def test_data_and_runtime(name):
    config = load(name)
    for split in ('train', 'val', 'test'):
        assert annotated(config[f'{split}_dataloader'].dataset).type == 'CheckedCocoDataset'
    assert config.custom_imports.imports == ['eca_mm']
    assert [hook.type for hook in config.custom_hooks][-2:] == [
        'StopOnInvalidLossHook', 'KeepWorkDirHook']
    assert (len(config.custom_hooks) == 2) == (name in RESNETS)
    assert config.train_cfg.type == 'RepeatableEpochLoop'
    assert config.runner_type == 'CheckedRunner'


@pytest.mark.parametrize('name', [
    name if name.startswith(QUICK) else pytest.param(name, marks=pytest.mark.slow)
    for name in FAMILIES])
def test_one_step_on_random_input(name):
    config, model = build(name)
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    take_step(model, optimizer, demo_mm_inputs(
        1, [(3, 128, 128)], num_items=[2], with_mask=with_masks(name)))


@pytest.mark.slow
@pytest.mark.parametrize('name', FAMILIES)
def test_two_steps_on_coco(name, coco_root):
    config, model = build(name)
    data = config.train_dataloader.dataset
    annotated(data).update(data_root=str(coco_root), ann_file='annotations/instances_val2017.json',
                data_prefix=dict(img='val2017/'), image_ids=[252219, 403385])
    for i, step in enumerate(data.pipeline):
        if step.type in ('Resize', 'RandomChoice'):
            data.pipeline[i] = dict(type='Resize', scale=(256, 192), keep_ratio=True)
        else:
            # Mosaics and crops of 640 x 640 pixels.
            step.update({key: tuple(side // 4 for side in step[key]) for key in (
                'scale', 'img_scale', 'crop_size', 'size', 'border') if step.get(key)})
    images = DATASETS.build(data)
    assert len(images) == 2
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    for _ in range(2):
        take_step(model, optimizer, pseudo_collate([images[0], images[1]]))
