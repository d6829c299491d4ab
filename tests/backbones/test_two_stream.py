"""Two streams: sizes, wiring, weights, and every form that a trained model can take."""
from functools import cache

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from eca_mm.backbones import AttentionFusion, ConcatFusion, TwoStreamBackbone
from eca_mm.backbones.two_stream import input_channels, load_with_repeated_stem
from eca_mm.deploy import fuse
from eca_mm.deploy.export import TensorModel, export, output_names
from eca_mm.deploy.verify import TOLERANCE, compare, shapes_to_try
from eca_mm.utils.errors import UserError
from tests.support.backbones import randomize_norms

SMALL = dict(type='AttentionResNet', depth=18, base_channels=8, stem_channels=8,
             out_indices=(0, 1, 2, 3), init_cfg=None)
EVENT = dict(SMALL, in_channels=5)
ECA = dict(type='AttentionFusion', attention=dict(type='ECALayer'))


def two_streams(fusion=ECA, **options) -> TwoStreamBackbone:
    options = dict(dict(frame=dict(SMALL), event=dict(EVENT)), **options)
    return MODELS.build(dict(type='TwoStreamBackbone', fusion=fusion, **options))


def head(classes: int) -> nn.Module:
    return MODELS.build(dict(
        type='RetinaHead', num_classes=classes, in_channels=256, stacked_convs=4,
        anchor_generator=dict(type='AnchorGenerator', octave_base_scale=4, scales_per_octave=3,
                              ratios=[.5, 1., 2.], strides=[4, 8, 16, 32, 64])))


@cache
def published() -> nn.Module:
    """RetinaNet as published, with concatenation and without its head."""
    stream = dict(type='AttentionResNet', depth=50, out_indices=(0, 1, 2, 3), init_cfg=None)
    return nn.ModuleDict(dict(
        backbone=MODELS.build(dict(type='TwoStreamBackbone', frame=stream, event=dict(
            stream, in_channels=5), fusion=dict(type='ConcatFusion'))),
        neck=MODELS.build(dict(
            type='FPN', in_channels=[512, 1024, 2048, 4096], out_channels=256, num_outs=5,
            add_extra_convs='on_input'))))


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.mark.parametrize(('fusion', 'classes', 'expected'), [
    (dict(type='ConcatFusion'), 3, 65_653_055),
    (dict(type='ConcatFusion'), 1, 65_611_565),
    (ECA, 3, 65_653_055 + 24),
    (dict(ECA, interleave=True), 1, 65_611_565 + 24),
    (dict(ECA, mode='per_stream'), 3, 65_653_055 + 44),
    (dict(ECA, mode='per_stream'), 1, 65_611_565 + 44),
])
def test_parameters_of_the_published_detector(fusion, classes, expected):
    init_default_scope('mmdet')
    assert published()['backbone'].out_channels == (512, 1024, 2048, 4096)
    fusions = [MODELS.build(dict(fusion, frame_channels=c, event_channels=c))
               for c in (256, 512, 1024, 2048)]
    assert count(published(), head(classes), *fusions) == expected


def test_kernel_sizes():
    on_all, per_stream = (
        [MODELS.build(dict(ECA, mode=mode, frame_channels=c, event_channels=c))
         for c in (256, 512, 1024, 2048)] for mode in ('concat', 'per_stream'))
    assert [fusion.attention.kernel_size for fusion in on_all] == [5, 5, 7, 7]
    assert [fusion.event_attention.kernel_size for fusion in per_stream] == [5, 5, 5, 7]


@pytest.mark.parametrize('attention', ['ECALayer', 'SELayer', 'CBAM'])
@pytest.mark.parametrize('mode', ['concat', 'per_stream'])
def test_any_attention(attention, mode):
    options = dict(reduction=4) if attention != 'ECALayer' else {}
    model = two_streams(dict(ECA, attention=dict(type=attention, **options), mode=mode))
    x = torch.randn(2, 8, 64, 96)
    maps = model(x)
    assert [tuple(m.shape) for m in maps] == [
        (2, 16 * 2**i, 16 // 2**i, 24 // 2**i) for i in range(4)]
    assert model.out_channels == (16, 32, 64, 128) and input_channels(model) == 8
    sum(m.square().mean() for m in maps).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_maps_are_those_of_the_streams():
    model = two_streams(dict(type='ConcatFusion')).eval()
    x = torch.randn(1, 8, 64, 64)
    for fused, frame, event in zip(model(x), model.frame_stream(x[:, :3]),
                                   model.event_stream(x[:, 3:]), strict=True):
        assert fused.equal(torch.cat([event, frame], 1))
    for part, alone in (('frame', two_streams(None, event=None)),
                        ('event', two_streams(None, frame=None))):
        stream = getattr(alone, f'{part}_stream')
        expected = stream(x[:, :3] if part == 'frame' else x[:, 3:])
        assert all(a.equal(b) for a, b in zip(alone(x), expected, strict=True))
        assert alone.out_channels == (8, 16, 32, 64)


def test_a_fusion_for_each_stage():
    model = two_streams([dict(type='ConcatFusion'), dict(ECA, mode='per_stream'), ECA, ECA])
    assert type(model.fusions[0]) is ConcatFusion and model.fusions[1].mode == 'per_stream'
    assert [m.size(1) for m in model(torch.randn(1, 8, 64, 64))] == list(model.out_channels)


def test_interleaved_channels():
    frames, events = torch.zeros(1, 8, 2, 2), torch.ones(1, 8, 2, 2)
    fusion = AttentionFusion(8, 8, dict(type='ECALayer'), interleave=True)
    fusion.attention.conv.weight.data.zero_()
    # A gate of 1/2 everywhere.
    assert (2 * fusion(frames, events))[0, :, 0, 0].tolist() == [1, 0] * 8
    fusion.interleave = False
    assert (2 * fusion(frames, events))[0, :, 0, 0].tolist() == [1] * 8 + [0] * 8


def test_eca_sees_the_other_stream_only_at_the_seam_or_interleaved():
    frames, events = torch.rand(1, 16, 2, 2, requires_grad=True), torch.rand(1, 16, 2, 2)
    reached = {}
    for interleave in (False, True):
        fusion = AttentionFusion(16, 16, dict(type='ECALayer', kernel_size=3),
                                 interleave=interleave)
        gate = fusion(frames, events) / (torch.stack([events, frames], 2).flatten(1, 2)
                                         if interleave else torch.cat([events, frames], 1)).detach()
        of_events = gate[:, ::2] if interleave else gate[:, :16]
        grad, = torch.autograd.grad(of_events.sum(), frames)
        reached[interleave] = int((grad.abs().sum((0, 2, 3)) > 1e-9).sum())
    assert reached == {False: 1, True: 16}


@pytest.mark.parametrize(('options', 'message'), [
    (dict(frame=None, event=None, fusion=None), 'both None'),
    (dict(event=None), 'be None with one'),
    (dict(fusion=None), 'ConcatFusion'),
    (dict(event=dict(SMALL)), 'in_channels=5'),
    (dict(event=dict(EVENT, out_indices=(2, 3))), 'out_indices'),
    (dict(event=dict(EVENT, strides=(1, 1, 2, 2))), 'same strides for both'),
    (dict(event=dict(type=nn.Conv2d, in_channels=5, out_channels=4, kernel_size=3)),
     'several maps'),
    (dict(fusion=[ECA, ECA]), 'list of 4 configs'), (dict(fusion=[ECA, None, ECA, ECA]), 'list'),
    (dict(fusion='ECALayer'), 'list of 4 configs'),
    (dict(fusion=dict(ECA, mode='both')), "'per_stream'"),
    (dict(fusion=dict(ECA, mode='per_stream', interleave=True)), "mode='concat'"),
    (dict(fusion=dict(ECA, attention=None)), 'ConcatFusion'),
    (dict(fusion=dict(ECA, interleave=True), event=dict(EVENT, base_channels=16)), 'equally many'),
])
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        two_streams(**options)


def test_wrong_input():
    with pytest.raises(ValueError, match=r'\(N, 8, H, W\): 3 channels of the frame and 5'):
        two_streams()(torch.zeros(1, 3, 64, 64))


@pytest.fixture()
def imagenet_weights(tmp_path):
    classifier = MODELS.build(dict(SMALL))
    randomize_norms(classifier)
    path = tmp_path / 'imagenet.pth'
    torch.save(dict(state_dict={f'backbone.{k}': v for k, v in classifier.state_dict().items()}),
               path)
    return classifier.state_dict(), dict(type='Pretrained', checkpoint=str(path),
                                         prefix='backbone.')


def test_streams_from_imagenet_weights(imagenet_weights, caplog):
    weights, init_cfg = imagenet_weights
    model = two_streams(frame=dict(SMALL, init_cfg=init_cfg), event=dict(EVENT, init_cfg=init_cfg))
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    model.init_weights()
    logger.removeHandler(caplog.handler)
    assert 'averaged over the channels and repeated 5 times' in caplog.text
    for name, value in weights.items():
        assert model.frame_stream.state_dict()[name].equal(value)
        if name != 'conv1.weight':
            assert model.event_stream.state_dict()[name].equal(value)
    stem = model.event_stream.conv1.weight
    assert stem.equal(weights['conv1.weight'].mean(1, keepdim=True).expand_as(stem))


def with_eca(network: dict, **weights) -> dict:
    return dict(type='WithAttention', network=network, attention=dict(type='ECALayer'), **weights)


def test_streams_with_attention_added_to_them(imagenet_weights):
    """The weights stand where WithAttention takes them: in the network or beside it."""
    weights, init_cfg = imagenet_weights
    model = two_streams(frame=with_eca(dict(SMALL, init_cfg=init_cfg)),
                        event=with_eca(dict(EVENT, init_cfg=None), init_cfg=init_cfg))
    model.init_weights()
    attentions = [name for name in model.state_dict() if name.endswith('.eca.conv.weight')]
    assert len(attentions) == 16
    for stream in (model.frame_stream, model.event_stream):
        for name in weights.keys() - {'conv1.weight'}:
            assert stream.state_dict()[name].equal(weights[name])
    assert model.frame_stream.conv1.weight.equal(weights['conv1.weight'])
    stem = model.event_stream.conv1.weight
    assert stem.equal(weights['conv1.weight'].mean(1, keepdim=True).expand_as(stem))
    maps = model(torch.randn(1, 8, 64, 64))
    assert [m.size(1) for m in maps] == [16, 32, 64, 128]
    sum(m.square().mean() for m in maps).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_weights_of_another_network(imagenet_weights):
    _, init_cfg = imagenet_weights
    wide = MODELS.build(dict(EVENT, base_channels=16))
    with pytest.raises(UserError, match='do not fit AttentionResNet'):
        load_with_repeated_stem(wide, init_cfg)
    with pytest.raises(UserError, match='no name of a weight fits'):
        load_with_repeated_stem(MODELS.build(dict(EVENT)), dict(init_cfg, prefix='neck'))


@pytest.mark.parametrize('fusion', [
    dict(type='ConcatFusion'), ECA, dict(ECA, mode='per_stream'), dict(ECA, interleave=True)])
def test_inference_form_is_exact(fusion):
    model = two_streams(fusion, frame=dict(SMALL, attention=dict(type='ECALayer')))
    randomize_norms(model)
    model = model.eval().double()
    fused = fuse(model)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())
    x = torch.randn(2, 8, 64, 96, dtype=torch.float64)
    for found, expected in zip(fused(x), model(x), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize('form', [pytest.param('plain', marks=pytest.mark.slow), 'fused'])
def test_onnx_of_the_pyramid(form, tmp_path):
    init_default_scope('mmdet')
    model = MODELS.build(dict(
        type='RetinaNet', backbone=dict(type='TwoStreamBackbone', frame=dict(SMALL),
                                        event=dict(EVENT), fusion=ECA),
        neck=dict(type='FPN', in_channels=[16, 32, 64, 128], out_channels=16, num_outs=5,
                  add_extra_convs='on_input'),
        bbox_head=dict(type='RetinaHead', num_classes=3, in_channels=16, feat_channels=16,
                       stacked_convs=1)))
    randomize_norms(model)
    built = TensorModel(model.eval())
    exported = TensorModel(fuse(model)) if form == 'fused' else built
    path = tmp_path / 'model.onnx'
    names = output_names(built, (96, 128))
    assert names == [f'map{i}' for i in range(5)]
    export(exported, path, 'onnx', (96, 128), names)
    shapes = shapes_to_try((96, 128), channels=input_channels(model))
    assert all(shape[1] == 8 for shape in shapes)
    assert max(d.relative for d in compare(built, path, 'onnx', shapes)) < TOLERANCE


def test_registered_names():
    for kind in (TwoStreamBackbone, ConcatFusion, AttentionFusion):
        assert MODELS.get(kind.__name__) is kind
