"""AttentionMobileNetV2 and ECAMobileNetV2 against mmpretrain and timm."""
import pytest
import timm
import torch
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.models.backbones import MobileNetV2
from timm.layers import EcaModule
from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual

from eca_mm.backbones import AttentionMobileNetV2, ECAMobileNetV2
from tests.support.backbones import changed, randomize_norms, snapshot, train_step

K13 = (1, 1, 1, 1, 3, 3, 3)


def params(model) -> int:
    return sum(p.numel() for p in model.parameters())


class TestParameters:

    def test_paper_table_3(self):
        """Printed 3.34 (/ 2**20); the 1000-way classifier stands on 1280 channels."""
        with torch.device('meta'):
            plain, eca = params(MobileNetV2()), params(ECAMobileNetV2(K13))
        blocks = (1, 2, 3, 4, 3, 3, 1)
        assert eca - plain == sum(k * n for k, n in zip(K13, blocks, strict=True)) == 31
        assert round((eca + 1281 * 1000) / 2**20, 2) == 3.34

    def test_adaptive(self):
        with torch.device('meta'):
            model = ECAMobileNetV2()
        ks = [getattr(model, name)[0].eca.kernel_size for name in model.layers[:7]]
        assert ks == [3, 3, 3, 3, 3, 5, 5]

    @pytest.mark.parametrize('widen_factor', [0.35, 0.5, 1.4])
    def test_any_width(self, widen_factor):
        model = ECAMobileNetV2(widen_factor=widen_factor).eval()
        out, = model(torch.randn(1, 3, 32, 32))
        assert out.shape == (1, model.out_channel, 1, 1)


@pytest.mark.parametrize('options', [{}, dict(widen_factor=0.5, out_indices=(1, 3, 7))])
def test_without_attention_bit_for_bit(options):
    plain, model = MobileNetV2(**options), AttentionMobileNetV2(**options)
    randomize_norms(plain)
    model.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 64, 64)
    for training in (False, True):
        plain.train(training)
        model.train(training)
        for a, b in zip(plain(x), model(x), strict=True):
            assert a.equal(b)


@pytest.mark.parametrize('training', [False, True])
def test_equals_timm_blocks_with_timm_eca(training):
    """timm's MobileNetV2 blocks, to which timm's EcaModule is attached after the projection."""
    torch.manual_seed(0)
    other = timm.create_model('mobilenetv2_100', num_classes=0, global_pool='')
    blocks = [block for stage in other.blocks for block in stage]
    for block in blocks:
        norm = 'bn2' if isinstance(block, DepthwiseSeparableConv) else 'bn3'
        assert isinstance(block, DepthwiseSeparableConv | InvertedResidual)
        old = getattr(block, norm)
        channels = old.num_features
        setattr(block, norm, torch.nn.Sequential(old, EcaModule(channels)))
    other, model = other.double(), ECAMobileNetV2().double()
    # Both list their parameters in the order of computation.
    theirs = list(other.state_dict().values())
    ours = model.state_dict()
    assert [v.shape for v in ours.values()] == [v.shape for v in theirs]
    model.load_state_dict(dict(zip(ours, theirs, strict=True)))
    randomize_norms(model)
    other.load_state_dict(dict(zip(other.state_dict(), model.state_dict().values(), strict=True)))
    model.train(training)
    other.train(training)
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    torch.testing.assert_close(model(x)[0], other(x), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmdet'])
def test_bare_names_in_every_scope(scope):
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(dict(type='ECAMobileNetV2', kernel_size=K13))
    assert isinstance(model, ECAMobileNetV2)


class TestFreezing:

    @pytest.mark.parametrize('frozen', [-1, 0, 3])
    def test_frozen_stages(self, frozen):
        model = ECAMobileNetV2(frozen_stages=frozen)
        model.init_weights()
        model.load_state_dict(model.state_dict())
        before = snapshot(model)
        train_step(model, torch.randn(4, 3, 64, 64))
        prefixes = () if frozen < 0 else ('conv1.', *(f'layer{i}.' for i in range(1, frozen + 1)))
        frozen_names = {name for name in before if prefixes and name.startswith(prefixes)}
        assert changed(model, before) == set(before) - frozen_names
        for name, parameter in model.named_parameters():
            assert (parameter.grad is None) == (name in frozen_names), name

    def test_frozen_before_train_is_called(self):
        model = ECAMobileNetV2(frozen_stages=1)
        model.load_state_dict(model.state_dict())
        assert not model.conv1.conv.weight.requires_grad
        assert not model.layer1[0].eca.conv.weight.requires_grad
        assert model.layer2[0].eca.conv.weight.requires_grad

    def test_norm_eval(self):
        model = ECAMobileNetV2(norm_eval=True)
        model.init_weights()
        before = snapshot(model)
        train_step(model, torch.randn(2, 3, 64, 64))
        assert not any('running' in name or 'tracked' in name for name in changed(model, before))

    def test_no_parameter_is_unused(self):
        model = ECAMobileNetV2().train()
        model(torch.randn(2, 3, 64, 64))[0].sum().backward()
        assert all(p.grad is not None for p in model.parameters())


def test_with_cp_gives_the_same_gradients():
    models = [ECAMobileNetV2(widen_factor=0.35, with_cp=cp) for cp in (False, True)]
    models[0].init_weights()
    models[1].load_state_dict(models[0].state_dict())
    x = torch.randn(4, 3, 64, 64)
    for model in models:
        model.train()
        model(x)[0].pow(2).mean().backward()
    for a, b in zip(*(m.parameters() for m in models), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('k', [2, K13[:4], 0])
def test_bad_kernel_sizes(k):
    with pytest.raises(ValueError, match='kernel_size'):
        ECAMobileNetV2(k)
