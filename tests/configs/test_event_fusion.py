"""Configs of frames and events build, train, and follow the published protocol."""
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData

from tests.support.catalog import EVENT_CONFIGS, load

PUBLISHED = [name for name in EVENT_CONFIGS if '-published' in name]


def build(config):
    init_default_scope('mmdet')
    for stream in ('frame', 'event'):
        if config.model.backbone[stream] is not None:
            config.model.backbone[stream].pop('init_cfg', None)
    return MODELS.build(config.model)


def batch(size: int = 64) -> dict:
    samples = []
    for label in (0, 0):
        sample = DetDataSample(metainfo=dict(img_shape=(size, size), ori_shape=(size, size),
                                             scale_factor=(1., 1.)))
        sample.gt_instances = InstanceData(bboxes=torch.tensor([[8., 8., 30., 30.]]),
                                           labels=torch.tensor([label]))
        samples.append(sample)
    return dict(inputs=[torch.rand(8, size, size) * 255 for _ in samples], data_samples=samples)


@pytest.mark.parametrize('name', [
    name if name.endswith('retinanet_2xr50-eca_fpn_dsec.py') else pytest.param(
        name, marks=pytest.mark.slow) for name in EVENT_CONFIGS])
def test_two_iterations(name):
    torch.manual_seed(0)
    config = load(name)
    model = build(config).train()
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    before = model.bbox_head.state_dict() if hasattr(model, 'bbox_head') else (
        model.roi_head.state_dict())
    before = {key: value.clone() for key, value in before.items()}
    for _ in range(2):
        with optimizer.optim_context(model):
            losses = model.train_step(batch(), optimizer)
        assert losses['loss'].isfinite()
    head = getattr(model, 'bbox_head', None) or model.roi_head
    assert any(not value.equal(before[key]) for key, value in head.state_dict().items())


@pytest.mark.parametrize('name', PUBLISHED)
def test_published_protocol(name):
    config = load(name)
    is_dsec = 'dsec' in name
    wrapper, scheduler = config.optim_wrapper, config.param_scheduler[0]
    assert (wrapper.optimizer.type, wrapper.optimizer.lr) == ('Adam', 1e-4)
    assert (wrapper.clip_grad.max_norm, wrapper.accumulative_counts) == (.1, 2)
    assert (scheduler.type, scheduler.patience) == ('ReduceOnPlateauLR', 3)
    assert config.train_cfg.max_epochs == (60 if is_dsec else 200)
    assert config.train_dataloader.batch_size == (1 if is_dsec else 4)
    assert 'RandomFlip' not in [step.type for step in config.train_dataloader.dataset.pipeline]
    assert not config.model.data_preprocessor.bgr_to_rgb
    assert config.model.data_preprocessor.mean[0] == pytest.approx(
        255 * (.485 if is_dsec else .403))
    for part in ('frame', 'event'):
        stream = config.model.backbone[part]
        if stream is not None:
            assert stream.norm_eval and not stream.zero_init_residual
            assert 'Pretrained' not in str(stream.init_cfg)
    head, assigner = config.model.bbox_head, config.model.train_cfg.assigner
    assert head.anchor_generator.strides == [4, 8, 16, 32, 64]
    assert (head.anchor_generator.octave_base_scale, head.anchor_generator.center_offset) == (4, .5)
    assert (head.loss_bbox.beta, head.loss_bbox.loss_weight) == (1 / 9, .25)
    assert head.bbox_coder.target_stds == [.1, .1, .2, .2]
    assert (assigner.pos_iou_thr, assigner.neg_iou_thr, assigner.match_low_quality) == (
        .5, .4, False)
    assert config.model.test_cfg.score_thr == .05 and config.model.test_cfg.max_per_img == 100


def test_bn_of_the_published_protocol_stays_in_evaluation():
    config = load('event_fusion/retinanet_2xr50-frames_fpn_ddd17-published.py')
    model = build(config).train()
    norms = [m for m in model.backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms and not any(norm.training for norm in norms)
    assert all(norm.weight.requires_grad for norm in norms)
