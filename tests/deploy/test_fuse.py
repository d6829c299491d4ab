"""The inference form computes what the trained form computes."""
import copy
import io
import warnings

import pytest
import torch
from mmdet.models.backbones import ResNet as MMDetResNet
from mmengine.hub import get_config
from mmengine.registry import MODELS
from mmpretrain.models.backbones import ResNet
from torch import nn

from eca_mm.analysis import build_model
from eca_mm.analysis.complexity import data_sample
from eca_mm.backbones import AttentionMobileNetV2, AttentionResNet, ECAMobileNetV2, ECAResNet
from eca_mm.deploy import fuse, switch_to_deploy
from eca_mm.ops.inference_block import InferenceBlock, InferenceStage
from tests.conftest import needs_half_on_cpu
from tests.support.randomize import randomize, relative_difference

LEVELS = dict(out_indices=(0, 1, 2, 3), base_channels=16)
ECA_PLUGIN = [dict(cfg=dict(type='ECALayer', kernel_size=5), position='after_conv3')]
SMALL = dict(base_channels=8, stem_channels=8)

MODELS_UNDER_TEST = {
    'r18': lambda: ECAResNet(18, **LEVELS),
    'r50': lambda: ECAResNet(50, **LEVELS),
    'r50-se': lambda: AttentionResNet(50, dict(type='SELayer'), **LEVELS),
    'r50-cbam': lambda: AttentionResNet(50, dict(type='CBAM'), **LEVELS),
    'r50-part': lambda: AttentionResNet(50, [None, [None, dict(type='ECALayer')] * 2, None,
                                             dict(type='ECALayer')], **LEVELS),
    'r50-plain': lambda: AttentionResNet(50, **LEVELS),
    'r50-caffe': lambda: ECAResNet(50, style='caffe', **LEVELS),
    'r50-d': lambda: ECAResNet(50, deep_stem=True, avg_down=True, **LEVELS),
    'r50-drop-path': lambda: ECAResNet(50, drop_path_rate=.2, **LEVELS),
    'mobilenet': lambda: ECAMobileNetV2(widen_factor=.5, out_indices=(1, 3, 7)),
    'mobilenet-plain': lambda: AttentionMobileNetV2(widen_factor=.5),
    'mmpretrain': lambda: ResNet(50, **LEVELS),
    'mmdet-plugin': lambda: MMDetResNet(50, plugins=ECA_PLUGIN, **LEVELS),
}


def norms(model):
    return [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


@pytest.mark.filterwarnings('ignore:These modules have no known inference form')
@pytest.mark.parametrize(('name', 'layout'), [
    (name, torch.contiguous_format) for name in MODELS_UNDER_TEST] + [
    pytest.param(name, torch.channels_last, marks=() if name in ('r50', 'mobilenet')
                 else pytest.mark.slow) for name in MODELS_UNDER_TEST])
def test_same_outputs(name, layout):
    """A 96 x 160 image takes both forms of the tail: 960 positions in stage 1, 15 in stage 4."""
    model = randomize(MODELS_UNDER_TEST[name]()).to(memory_format=layout)
    # Depthwise convolutions in double are slow.
    x = torch.randn(1 if 'mobilenet' in name else 3, 3, 96, 160).to(memory_format=layout)
    fused = fuse(model)
    # CBAM has its own normalisation, within a convolution's Sequential or not.
    assert name == 'r50-cbam' or not norms(fused)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-9)):
        model, fused = model.to(dtype), fuse(model.to(dtype))
        for grad in (False, True):
            with torch.set_grad_enabled(grad):
                for expected, value in zip(model(x.to(dtype)), fused(x.to(dtype)), strict=True):
                    assert relative_difference(expected, value) < tolerance


@pytest.mark.parametrize('name', ['r18', 'r50', 'r50-se', 'mobilenet'])
def test_bfloat16(name):
    model = randomize(MODELS_UNDER_TEST[name]()).bfloat16()
    x = torch.randn(2, 3, 96, 160).bfloat16()
    with torch.no_grad():
        for expected, value in zip(model(x), fuse(model)(x), strict=True):
            assert value.dtype == torch.bfloat16
            assert relative_difference(expected, value) < 1e-2


def test_half_on_a_fused_model():
    needs_half_on_cpu()
    fused = fuse(randomize(ECAResNet(18, **SMALL))).half()
    assert all(p.dtype == torch.float16 for p in fused.parameters())
    with torch.no_grad():
        assert fused(torch.randn(1, 3, 64, 64).half())[0].dtype == torch.float16


def test_the_given_model_is_not_changed():
    model = randomize(ECAResNet(50, **SMALL))
    before = copy.deepcopy(model.state_dict())
    modules = [(name, type(module)) for name, module in model.named_modules()]
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        fused, out = fuse(model), model(x)[0].clone()
        nn.init.zeros_(next(fused.parameters()))
        assert model(x)[0].equal(out)
    assert [(name, type(module)) for name, module in model.named_modules()] == modules
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())


def test_outputs_of_stages_and_input_are_not_overwritten():
    """Blocks take the memory of their predecessor, but of nobody else."""
    model = randomize(ECAResNet(50, **LEVELS))
    fused, x = fuse(model), torch.randn(1, 3, 160, 160)
    kept = {}
    fused.layer1[0].register_forward_hook(lambda _, __, out: kept.update(out=out))
    model.layer1[0].register_forward_hook(lambda _, __, out: kept.update(expected=out))
    stage_input = torch.randn(1, 64, 40, 40)
    with torch.no_grad():
        for expected, value in zip(model(x), fused(x), strict=True):
            torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(kept['out'], kept['expected'], rtol=1e-4, atol=1e-5)
        before = stage_input.clone()
        fused.layer1(stage_input)
        identity_input = torch.randn(1, 64, 40, 40)
        copied = identity_input.clone()
        fused.layer1[1](identity_input)
    assert stage_input.equal(before) and identity_input.equal(copied)


def test_switch_to_deploy():
    model = randomize(ECAResNet(50, **SMALL))
    fused = fuse(model)
    assert switch_to_deploy(copy.deepcopy(model)).state_dict().keys() == fused.state_dict().keys()
    for backbone in (model, randomize(ECAMobileNetV2(widen_factor=.35))):
        assert backbone.switch_to_deploy() is None
        assert not norms(backbone)
        with torch.no_grad():
            backbone(torch.randn(1, 3, 64, 64))
    assert isinstance(model.layer1, InferenceStage)


def test_a_single_block():
    block = randomize(ECAResNet(50, **SMALL).layer1[0])
    fused, x = fuse(block), torch.randn(2, 8, 20, 20)
    assert isinstance(fused, InferenceBlock)
    with torch.no_grad():
        torch.testing.assert_close(fused(x), block(x), rtol=1e-5, atol=1e-6)


class TestWhatCannotBeFused:

    def test_training_mode_is_refused(self):
        with pytest.raises(ValueError, match=r'The model is in training mode.*eval\(\)'):
            fuse(ECAResNet(18, **SMALL))
        model = ECAResNet(18, **SMALL).eval()
        model.layer2[0].bn2.train()
        with pytest.raises(ValueError, match='layer2.0.bn2 is in training mode'):
            fuse(model)

    def test_sync_bn_is_named_and_left(self):
        model = randomize(ECAResNet(18, norm_cfg=dict(type='SyncBN'), **SMALL))
        with pytest.warns(UserWarning, match='layer1.0.*bn1, layer1.0.bn2'):
            fused = fuse(model)
        x = torch.randn(1, 3, 64, 64)
        assert len(norms(fused)) == len(norms(model))
        torch.testing.assert_close(fused(x), model(x))

    def test_unknown_blocks_are_named_and_left(self):

        class Unknown(nn.Module):
            """Computes with its normalisation first."""

            def __init__(self):
                super().__init__()
                self.conv = nn.Conv2d(4, 4, 1)
                self.bn = nn.BatchNorm2d(4)

            def forward(self, x):
                return self.conv(self.bn(x))

        model = randomize(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), Unknown()))
        with pytest.warns(UserWarning, match=r'left as they are: 2\.bn$'):
            fused = fuse(model)
        x = torch.randn(2, 3, 8, 8)
        torch.testing.assert_close(fused(x), model(x), rtol=1e-5, atol=1e-6)

    def test_shared_convolutions_keep_their_weights(self):
        conv = nn.Conv2d(3, 3, 1)
        model = randomize(nn.ModuleList([nn.Sequential(conv, nn.BatchNorm2d(3)),
                                         nn.Sequential(conv, nn.BatchNorm2d(3))]))
        with pytest.warns(UserWarning, match='0.1, 1.1'):
            fused = fuse(model)
        x = torch.randn(2, 3, 4, 4)
        for branch, expected in zip(fused, model, strict=True):
            torch.testing.assert_close(branch(x), expected(x))

    def test_nothing_to_say_otherwise(self):
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            fuse(randomize(ECAResNet(18, **SMALL)))


class TestOrdinaryModule:

    @pytest.fixture
    def pair(self):
        model = randomize(ECAResNet(18, **SMALL)).requires_grad_(False)
        return model, fuse(model)

    def test_state_dict_and_deepcopy(self, pair):
        model, fused = pair
        x = torch.randn(1, 3, 128, 128)
        file = io.BytesIO()
        torch.save(fused.state_dict(), file)
        file.seek(0)
        other = fuse(randomize(ECAResNet(18, **SMALL)))
        other.load_state_dict(torch.load(file, weights_only=True))
        with torch.no_grad():
            assert other(x)[0].equal(fused(x)[0])
            assert copy.deepcopy(fused)(x)[0].equal(fused(x)[0])

    @pytest.mark.filterwarnings('ignore::DeprecationWarning')
    def test_compile_without_graph_breaks(self, pair):
        model, fused = pair
        x = torch.randn(2, 3, 64, 64)
        compiled = torch.compile(fused, fullgraph=True, backend='aot_eager')
        with torch.no_grad():
            assert relative_difference(model(x)[0], compiled(x)[0]) < 1e-5

    def test_export(self, pair):
        model, fused = pair
        x = torch.randn(2, 3, 64, 64)
        program = torch.export.export(fused, (x, ))
        assert relative_difference(model(x)[0], program.module()(x)[0]) < 1e-5

    @pytest.mark.filterwarnings('ignore::DeprecationWarning')
    def test_trace(self, pair):
        model, fused = pair
        traced = torch.jit.trace(fused, torch.randn(2, 3, 64, 64))
        x = torch.randn(1, 3, 128, 96)
        assert relative_difference(model(x)[0], traced(x)[0]) < 1e-5


def test_classifier():
    cfg = get_config('eca_mm::eca_resnet/eca-resnet18-k3577_4xb64_in1k.py')
    cfg.model.backbone.base_channels = 16
    cfg.model.head.in_channels = 128
    model = randomize(build_model(cfg))
    fused, x = fuse(model), torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        assert relative_difference(model(x), fused(x)) < 1e-5
        for a, b in zip(model.predict(x), fused.predict(x), strict=True):
            assert a.pred_label.equal(b.pred_label)


@pytest.mark.parametrize('config', ['faster_rcnn/faster-rcnn_eca-r50_fpn_4xb2-1x_coco',
                                    'retinanet/retinanet_eca-r50_fpn_4xb2-1x_coco'])
def test_detector_finds_the_same_boxes(config):
    cfg = get_config(f'eca_mm::{config}.py')
    cfg.model.backbone.update(depth=18, init_cfg=None)
    cfg.model.neck.in_channels = [64, 128, 256, 512]
    if 'rcnn' in config:
        # Random heads are sure of nothing.
        cfg.model.test_cfg.rcnn.score_thr = .01
    model = randomize(build_model(cfg))
    head = model.bbox_head if hasattr(model, 'bbox_head') else model.roi_head.bbox_head
    last = head.retina_cls if hasattr(head, 'retina_cls') else head.fc_cls
    nn.init.normal_(last.weight, std=.1)
    # In double, because boxes with nearly the same score would change places otherwise.
    fused, x = fuse(model.double()), torch.randn(1, 3, 128, 160).double()
    samples = [data_sample(128, 160)]
    with torch.no_grad():
        expected = model.predict(x, copy.deepcopy(samples))[0].pred_instances
        found = fused.predict(x, copy.deepcopy(samples))[0].pred_instances
    assert len(expected) > 0
    assert found.labels.equal(expected.labels)
    torch.testing.assert_close(found.bboxes, expected.bboxes, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.scores, expected.scores, rtol=1e-6, atol=1e-9)


def test_deep_network_in_double():
    """152 layers, at the full depth of the tolerance."""
    model = randomize(ECAResNet(152, **SMALL)).double()
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        assert relative_difference(model(x)[0], fuse(model)(x)[0]) < 1e-9


def test_maps_are_in_channels_last():
    fused = fuse(randomize(ECAResNet(18, **SMALL)))
    with torch.no_grad():
        out = fused(torch.randn(1, 3, 64, 64))[-1]
    assert out.is_contiguous(memory_format=torch.channels_last) and not out.is_contiguous()


def test_registered_models_stay_registered():
    """A fused backbone is still what the registry built, with its other methods."""
    model = MODELS.build(dict(type='ECAResNet', depth=18, **SMALL)).eval()
    fused = fuse(model)
    assert isinstance(fused, ECAResNet) and fused.feat_dim == model.feat_dim
    assert fused.train() is fused and fused.eval() is fused
