"""AttentionResNet and ECAResNet: sizes, options, freezing."""
import pytest
import torch
from mmengine.model.weight_init import PretrainedInit
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.models.backbones import ResNet

from eca_mm.backbones import AttentionResNet, ECAResNet
from eca_mm.layers import ECALayer
from tests.support.backbones import changed, randomize_norms, snapshot, train_step

PUBLISHED_K = {18: (3, 5, 7, 7), 34: (3, 3, 5, 7), 50: (3, 5, 5, 7), 101: (3, 3, 5, 7),
               152: (3, 3, 5, 7)}


def classifier_params(backbone) -> int:
    return sum(p.numel() for p in backbone.parameters()) + (backbone.feat_dim + 1) * 1000


class TestParameters:

    @pytest.mark.parametrize('depth,printed', [(18, 11.148), (34, 20.788), (50, 24.37),
                                               (101, 42.49), (152, 57.40)])
    def test_paper_tables(self, depth, printed):
        """Tables 3 and 7 print parameters / 2**20."""
        plain = ResNet(depth)
        model = ECAResNet(depth, PUBLISHED_K[depth])
        digits = 3 if depth < 50 else 2
        assert round(classifier_params(model) / 2**20, digits) == printed
        extra = sum(k * n for k, n in zip(PUBLISHED_K[depth], model.stage_blocks, strict=True))
        assert classifier_params(model) - classifier_params(plain) == extra

    def test_80_parameters(self):
        assert classifier_params(ECAResNet(50, (3, 5, 5, 7))) == 25_557_112
        assert classifier_params(ResNet(50)) == 25_557_112 - 80

    def test_adaptive_is_5557(self):
        model = ECAResNet(50)
        ks = [[block.eca.kernel_size for block in getattr(model, name)]
              for name in model.res_layers]
        assert ks == [[5] * 3, [5] * 4, [5] * 6, [7] * 3]


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmdet', 'mmengine'])
def test_bare_names_in_every_scope(scope):
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(dict(type='ECAResNet', depth=18, base_channels=8))
    assert isinstance(model, ECAResNet)


class TestAttention:

    def test_per_stage_and_per_block(self):
        eca = dict(type='ECALayer')
        model = AttentionResNet(18, [None, eca, [None, eca], None], base_channels=8)
        with_eca = {name for name, module in model.named_modules() if isinstance(module, ECALayer)}
        assert with_eca == {'layer2.0.eca', 'layer2.1.eca', 'layer3.1.eca'}

    def test_attention_is_after_the_last_norm(self):
        """An attention far below zero switches the branch off and leaves the shortcut alone."""
        model = ECAResNet(18, base_channels=8).eval()
        block = model.layer1[1]
        block.norm2.weight.data.fill_(1)
        x = torch.rand(1, 8, 4, 4)
        before = block(x)
        block.eca.excite = lambda y: torch.zeros_like(y)
        assert block(x).equal(x) and not before.equal(x)

    def test_plain_module_as_attention(self):
        """A registered attention without a gate is applied to the branch as it is."""
        cfg = dict(type='ContextBlock', ratio=1 / 4)
        model = AttentionResNet(18, cfg, base_channels=8).eval()
        assert 'layer1.0.context_block.conv_mask.weight' in model.state_dict()
        assert model(torch.randn(1, 3, 32, 32))[0].shape == (1, 64, 1, 1)

    def test_fewer_stages(self):
        model = ECAResNet(18, (3, 5), num_stages=2, strides=(1, 2), dilations=(1, 1),
                          out_indices=(1, ), base_channels=8)
        assert model.layer2[0].eca.kernel_size == 5

    @pytest.mark.parametrize('k', [2, (3, 5, 5, 4), 0, (3, 5, 5), 'auto', 2.5])
    def test_bad_kernel_sizes(self, k):
        with pytest.raises(ValueError, match='kernel_size'):
            ECAResNet(50, k)


@pytest.mark.parametrize('make', [dict, lambda **init: [init]], ids=['alone', 'in a list'])
@pytest.mark.parametrize('kind', ['Pretrained', PretrainedInit])
def test_pretrained_attentions_stay(make, kind, tmp_path):
    options = dict(depth=18, attention=dict(type='GCBlock', reduction=4), base_channels=8)
    source = AttentionResNet(**options).state_dict()
    source = {name: torch.ones_like(value) for name, value in source.items()}
    torch.save(source, tmp_path / 'a.pth')
    init_cfg = make(type=kind, checkpoint=str(tmp_path / 'a.pth'))
    model = AttentionResNet(**options, init_cfg=init_cfg)
    model.init_weights()
    attentions = [name for name in source if '.context_block.' in name]
    assert attentions and all(model.state_dict()[name].equal(source[name]) for name in attentions)


class TestFreezing:

    @pytest.mark.parametrize('frozen', [-1, 0, 1, 2, 4])
    @pytest.mark.parametrize('deep_stem', [False, True])
    def test_frozen_stages(self, frozen, deep_stem):
        model = ECAResNet(18, base_channels=8, frozen_stages=frozen, deep_stem=deep_stem,
                          zero_init_residual=False, out_indices=(0, 1, 2, 3))
        model.init_weights()
        model.load_state_dict(model.state_dict())
        prefixes = ([] if frozen < 0 else ['conv1.', 'bn1.', 'stem.'])
        prefixes = tuple(prefixes + [f'layer{i}.' for i in range(1, frozen + 1)])
        before = snapshot(model)
        x = torch.randn(4, 3, 64, 64)
        if frozen == 4:
            model.train()
            assert not any(p.requires_grad for p in model.parameters())
            model(x)
            assert changed(model, before) == set()
            return
        train_step(model, x)
        frozen_names = {name for name in before if prefixes and name.startswith(prefixes)}
        assert changed(model, before) == set(before) - frozen_names
        for name, parameter in model.named_parameters():
            assert (parameter.grad is None) == (name in frozen_names), name

    def test_frozen_before_train_is_called(self):
        """DDP and the optimizer look at the model before its first train()."""
        model = ECAResNet(18, base_channels=8, frozen_stages=1)
        model.load_state_dict(model.state_dict())
        assert not model.layer1[0].eca.conv.weight.requires_grad
        assert model.layer2[0].eca.conv.weight.requires_grad

    def test_norm_eval(self):
        model = ECAResNet(18, base_channels=8, norm_eval=True, zero_init_residual=False)
        model.init_weights()
        before = snapshot(model)
        train_step(model, torch.randn(2, 3, 64, 64))
        assert not any('running' in name or 'tracked' in name for name in changed(model, before))
        assert 'layer1.0.bn1.weight' in changed(model, before)

    def test_no_parameter_is_unused(self):
        model = ECAResNet(50, base_channels=8).train()
        sum(out.sum() for out in model(torch.randn(2, 3, 64, 64))).backward()
        assert all(p.grad is not None for p in model.parameters())


class TestOptions:

    @pytest.mark.parametrize('depth', [18, 50])
    def test_with_cp_gives_the_same_gradients(self, depth):
        models = [ECAResNet(depth, base_channels=8, with_cp=cp, zero_init_residual=False)
                  for cp in (False, True)]
        models[0].init_weights()
        models[1].load_state_dict(models[0].state_dict())
        x = torch.randn(2, 3, 64, 64)
        for model in models:
            model.train()
            model(x)[0].pow(2).mean().backward()
        for a, b in zip(*(m.parameters() for m in models), strict=True):
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-5, atol=1e-7)

    def test_with_cp_recomputes(self):
        model = ECAResNet(18, base_channels=8, with_cp=True).train()
        calls = []
        model.layer1[0].eca.register_forward_pre_hook(lambda *_: None)
        model.layer1[0].conv1.register_forward_hook(lambda *_: calls.append(1))
        model(torch.randn(1, 3, 64, 64))[0].sum().backward()
        assert len(calls) == 2

    def test_caffe_style_strides_in_conv1(self):
        block = ECAResNet(50, base_channels=8, style='caffe').layer2[0]
        assert block.conv1.stride == (2, 2) and block.conv2.stride == (1, 1)

    def test_sync_bn(self):
        cfg = dict(type='SyncBN', requires_grad=True)
        model = ECAResNet(18, base_channels=8, norm_cfg=cfg).eval()
        assert isinstance(model.layer1[0].norm2, torch.nn.SyncBatchNorm)
        assert model(torch.randn(1, 3, 32, 32))[0].shape == (1, 64, 1, 1)

    def test_drop_path(self):
        model = ECAResNet(18, base_channels=8, drop_path_rate=0.9, zero_init_residual=False)
        model.init_weights()
        block = model.layer4[1].eval()
        x = torch.rand(64, 64, 2, 2)
        full = block(x)
        block.train()
        block.norm1.eval()
        block.norm2.eval()
        dropped = block(x).isclose(x, atol=1e-6).flatten(1).all(1)
        assert 0.7 < dropped.float().mean() < 1
        # What is kept is scaled by 1 / (1 - rate); eval keeps everything unscaled.
        assert not full.isclose(x, atol=1e-6).flatten(1).all(1).any()

    def test_drop_path_without_effect_in_eval(self):
        plain = ECAResNet(18, base_channels=8)
        randomize_norms(plain)
        model = ECAResNet(18, base_channels=8, drop_path_rate=0.5)
        model.load_state_dict(plain.state_dict())
        x = torch.randn(2, 3, 64, 64)
        torch.testing.assert_close(plain.eval()(x), model.eval()(x), rtol=1e-5, atol=1e-6)

    def test_empty_batch(self):
        assert ECAResNet(18, base_channels=8).eval()(torch.randn(0, 3, 64, 64))[0].shape[0] == 0
