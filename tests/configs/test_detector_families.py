"""The detectors beyond the paper's: they build and learn, without compiled operators."""
import pytest
import torch
from mmdet.testing import demo_mm_inputs
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, MODELS, init_default_scope

from tests.support.catalog import ALL_CONFIGS, PAPER_CONFIGS, load

FAMILIES = [name for name in ALL_CONFIGS if name.endswith('_coco.py')
            and name not in PAPER_CONFIGS and not name.startswith('timm_')]
# A few seconds each; the others take longer or have no part that these do not have.
QUICK = ('atss', 'fcos')


def with_masks(name: str) -> bool:
    return 'mask' in name or 'solo' in name


def build(name: str):
    """The config and its model, with the learning rate that warm-up starts from."""
    config = load(name)
    config.optim_wrapper.optimizer.lr *= 1e-3
    init_default_scope(config.default_scope)
    torch.manual_seed(0)
    config.model.backbone.init_cfg = None
    model = MODELS.build(config.model)
    # Sparse R-CNN's proposals are boxes only after this.
    model.init_weights()
    return config, model.train()


def take_step(model, optimizer, data) -> None:
    """Train with a batch; the loss is finite, and the backbone learns."""
    # A bias that starts at zero shows the smallest step.
    weight = model.backbone.layer4[0].norm3.bias
    before = weight.detach().clone()
    losses = model.train_step(data, optimizer)
    assert losses['loss'].isfinite() and losses['loss'] > 0
    assert weight.isfinite().all()
    assert weight.equal(before) != weight.requires_grad
    assert model.backbone.layer4[0].eca.conv.weight.requires_grad


def test_all_are_here():
    assert len(FAMILIES) == 8


@pytest.mark.parametrize('name', FAMILIES)
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
        assert config[f'{split}_dataloader'].dataset.type == 'CheckedCocoDataset'
    assert config.custom_imports.imports == ['eca_mm']
    assert [hook.type for hook in config.custom_hooks] == [
        'StopOnInvalidLossHook', 'KeepWorkDirHook']
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
    data.update(data_root=str(coco_root), ann_file='annotations/instances_val2017.json',
                data_prefix=dict(img='val2017/'), image_ids=[252219, 403385])
    for i, step in enumerate(data.pipeline):
        if step.type in ('Resize', 'RandomChoice'):
            data.pipeline[i] = dict(type='Resize', scale=(256, 192), keep_ratio=True)
    images = DATASETS.build(data)
    assert len(images) == 2
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    for _ in range(2):
        take_step(model, optimizer, pseudo_collate([images[0], images[1]]))
