"""Every config trains as Section 4.1 of the paper describes."""
from pathlib import Path

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIMIZERS, PARAM_SCHEDULERS, init_default_scope

from eca_mm.config_check import check_config
from tests.support.catalog import (
    ALL_CONFIGS,
    CLASSIFIERS,
    DEMOS,
    DETECTORS,
    ECA_CLASSIFIERS,
    PAPER_CONFIGS,
    load,
    one_per_folder,
)


def learning_rates(config, iterations_per_epoch: int) -> list[list[float]]:
    """Learning rate of every iteration, epoch by epoch, from the config's own schedulers."""
    init_default_scope(config.default_scope)
    optimizer = OptimWrapper(OPTIMIZERS.build(
        config.optim_wrapper.optimizer, default_args=dict(params=[torch.zeros(1)])))
    schedulers = config.param_scheduler
    schedulers = [PARAM_SCHEDULERS.build(cfg, default_args=dict(optimizer=optimizer))
                  for cfg in (schedulers if isinstance(schedulers, list) else [schedulers])]
    rates = []
    for _ in range(config.train_cfg.max_epochs):
        rates.append([])
        for _ in range(iterations_per_epoch):
            rates[-1] += optimizer.get_lr()['lr']
            for scheduler in schedulers:
                if not scheduler.by_epoch:
                    scheduler.step()
        for scheduler in schedulers:
            if scheduler.by_epoch:
                scheduler.step()
    return rates


def optimizer_of(config) -> dict:
    assert set(config.optim_wrapper) <= {'type', 'optimizer', '_scope_'}, 'more than plain SGD'
    return {k: v for k, v in config.optim_wrapper.optimizer.items() if k != '_scope_'}


@pytest.mark.parametrize('name', [name for name in CLASSIFIERS if 'mobilenet' not in name])
def test_imagenet_schedule(name):
    config = load(name)
    assert optimizer_of(config) == dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4)
    assert config.train_dataloader.batch_size * 4 == 256 == config.auto_scale_lr.base_batch_size
    rates = learning_rates(config, 1)
    for start, rate in ((0, 0.1), (30, 0.01), (60, 0.001), (90, 0.0001)):
        assert [epoch[0] for epoch in rates[start:start + 30]] == pytest.approx(
            [rate] * len(rates[start:start + 30]))
    assert len(rates) == 100


@pytest.mark.parametrize('name', [name for name in CLASSIFIERS if 'mobilenet' in name])
def test_mobilenet_schedule(name):
    config = load(name)
    assert optimizer_of(config) == dict(type='SGD', lr=0.045, momentum=0.9, weight_decay=4e-5)
    assert config.train_dataloader.batch_size * 4 == 96 == config.auto_scale_lr.base_batch_size
    assert [epoch[0] for epoch in learning_rates(config, 1)] == pytest.approx(
        [0.045 * 0.98**epoch for epoch in range(400)])


@pytest.mark.parametrize('name', [name for name in CLASSIFIERS if 'inception' not in name])
def test_classification_data(name):
    config = load(name)
    assert [(step.type, step.get('scale'), step.get('edge'), step.get('crop_size'))
            for step in config.train_dataloader.dataset.pipeline] == [
                ('SeedSample', None, None, None), ('LoadImageFromFile', None, None, None),
                ('RandomResizedCrop', 224, None, None), ('RandomFlip', None, None, None),
                ('PackInputs', None, None, None)]
    for loader in (config.val_dataloader, config.test_dataloader):
        assert [(step.type, step.get('scale'), step.get('edge'), step.get('crop_size'))
                for step in loader.dataset.pipeline] == [
                    ('LoadImageFromFile', None, None, None), ('ResizeEdge', 256, 'short', None),
                    ('CenterCrop', None, None, 224), ('PackInputs', None, None, None)]
    resizing = [step for loader in (config.train_dataloader, config.test_dataloader)
                for step in loader.dataset.pipeline if 'scale' in step]
    assert all(step.backend == 'pillow' for step in resizing)


@pytest.mark.parametrize('name', DETECTORS)
def test_detection_schedule(name):
    config = load(name)
    assert optimizer_of(config) == dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4)
    assert config.train_dataloader.batch_size * 4 == 8 == config.auto_scale_lr.base_batch_size
    rates = learning_rates(config, 501)
    assert len(rates) == 12
    # mmdet's warm-up is over before the first of COCO's 14,658 epochs' worth of batches is.
    assert rates[0][0] < 1e-4 and rates[0][:500] == sorted(rates[0][:500])
    assert [epoch[-1] for epoch in rates] == pytest.approx([0.01] * 8 + [0.001] * 3 + [0.0001])


@pytest.mark.parametrize('name', DETECTORS)
def test_detection_data(name):
    config = load(name)
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        assert loader.dataset.type == 'CheckedCocoDataset'
        resize, = (step for step in loader.dataset.pipeline if step.type == 'Resize')
        assert resize.scale == (1333, 800) and resize.keep_ratio
    metric = ['bbox', 'segm'] if 'mask' in name else 'bbox'
    assert config.val_evaluator.metric == config.test_evaluator.metric == metric


@pytest.mark.parametrize('name', DETECTORS)
def test_detectors_normalise_images_as_classifiers_do(name):
    detection = load(name).model.data_preprocessor
    classification = load(ECA_CLASSIFIERS[0]).data_preprocessor
    assert (detection.mean, detection.std) == (classification.mean, classification.std)
    assert detection.bgr_to_rgb and classification.to_rgb


@pytest.mark.parametrize('name', [name for name in DETECTORS if '_eca-' in name])
def test_detection_backbone_is_that_of_a_classification_config(name):
    backbone = load(name).model.backbone
    folder, file = backbone.init_cfg.checkpoint.split('/')
    assert folder == 'checkpoints'
    trained = load(f'eca_resnet/{Path(file).stem}_4xb64_in1k.py').model.backbone
    assert (trained.depth, trained.kernel_size) == (backbone.depth, backbone.kernel_size)
    assert backbone.init_cfg.prefix == 'backbone.'
    # Nothing is left to defaults, in which mmpretrain and mmdet differ.
    assert (backbone.out_indices, backbone.frozen_stages, backbone.norm_eval, backbone.style) == (
        (0, 1, 2, 3), 1, True, 'pytorch')
    assert backbone.norm_cfg == dict(type='BN', requires_grad=True)


@pytest.mark.parametrize('name', PAPER_CONFIGS)
def test_runtime(name):
    config = load(name)
    assert config.custom_imports == dict(imports=['eca_mm'], allow_failed_imports=False)
    assert [hook.type for hook in config.custom_hooks] == [
        'StopOnInvalidLossHook', 'KeepWorkDirHook']
    assert config.auto_scale_lr.enable is False
    assert config.default_scope == ('mmdet' if name in DETECTORS else 'mmpretrain')


# Of those outside the paper `make lint` reads the names, and the slow tests check all.
@pytest.mark.parametrize('name', [
    *one_per_folder(PAPER_CONFIGS), *DEMOS,
    *(pytest.param(name, marks=pytest.mark.slow) for name in ALL_CONFIGS
      if name not in PAPER_CONFIGS)])
def test_nothing_is_wrong_but_absent_data_and_weights(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = [finding for finding in check_config(load(name))
             if finding.check not in ('data', 'weights')]
    assert found == []
