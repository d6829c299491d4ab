"""AttentionResNet and ECAResNet against mmpretrain, timm and mmdet."""
import pytest
import timm.layers
import timm.models.resnet
import torch
from mmdet.models.backbones import ResNet as MMDetResNet
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from mmpretrain.models.backbones import ResNet

from eca_mm.backbones import AttentionResNet, ECAResNet
from tests.support.backbones import randomize_norms


class TestAgainstMMPretrain:

    @pytest.mark.parametrize('options', [
        dict(depth=18),
        dict(depth=50),
        dict(depth=50, style='caffe'),
        dict(depth=50, base_channels=16, deep_stem=True, avg_down=True),
        dict(depth=18, base_channels=16, out_indices=(0, 2, 3)),
        dict(depth=50, base_channels=16, strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2)),
    ])
    def test_without_attention_bit_for_bit(self, options):
        plain, model = ResNet(**options), AttentionResNet(**options)
        randomize_norms(plain)
        model.load_state_dict(plain.state_dict())
        x = torch.randn(2, 3, 64, 64)
        for training in (False, True):
            plain.train(training)
            model.train(training)
            for a, b in zip(plain(x), model(x), strict=True):
                assert a.equal(b)
        for name, value in plain.state_dict().items():
            assert value.equal(model.state_dict()[name]), name

    def test_out_indices(self):
        outs = ECAResNet(18, base_channels=8, out_indices=(0, 1, 2, 3))(torch.randn(1, 3, 64, 64))
        assert [tuple(out.shape) for out in outs] == [(1, 8, 16, 16), (1, 16, 8, 8),
                                                      (1, 32, 4, 4), (1, 64, 2, 2)]


class TestAgainstTimm:

    @pytest.mark.parametrize('depth,block,options,mine', [
        (18, timm.models.resnet.BasicBlock, {}, {}),
        (50, timm.models.resnet.Bottleneck, {}, {}),
        (50, timm.models.resnet.Bottleneck, dict(stem_type='deep', stem_width=32, avg_down=True),
         dict(deep_stem=True, avg_down=True)),
    ])
    @pytest.mark.parametrize('training', [False, True])
    def test_equal_features(self, depth, block, options, mine, training):
        torch.manual_seed(0)
        other = timm.models.resnet.ResNet(
            block, ResNet.arch_settings[depth][1], num_classes=0, global_pool='',
            block_args=dict(attn_layer=timm.layers.EcaModule), **options).double()
        model = ECAResNet(depth, **mine).double()
        model.load_state_dict(rename_from_timm(other.state_dict(), model.state_dict()))
        randomize_norms(model)
        for ours, theirs in matching_norms(model, other):
            theirs.load_state_dict(ours.state_dict())
        model.train(training)
        other.train(training)
        x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
        torch.testing.assert_close(model(x)[-1], other(x), rtol=1e-5, atol=1e-8)


def shortcut(ours: dict) -> dict:
    """timm numbers the pooling of an unstrided avg_down shortcut too, though it is the identity."""
    if 'layer2.0.downsample.2.weight' not in ours:
        return {}
    return {'layer1.0.downsample.1.': 'layer1.0.downsample.0.',
            'layer1.0.downsample.2.': 'layer1.0.downsample.1.'}


def rename_from_timm(state: dict, ours: dict) -> dict:
    """timm's names to ours: the attention, the deep stem, the shortcut of an unstrided block."""
    stem = {'conv1.0': 'stem.0.conv', 'conv1.1': 'stem.0.bn', 'conv1.3': 'stem.1.conv',
            'conv1.4': 'stem.1.bn', 'conv1.6': 'stem.2.conv', 'bn1': 'stem.2.bn'}
    renamed = {}
    for key, value in state.items():
        key = key.replace('.se.', '.eca.')
        for old, new in shortcut(ours).items():
            key = key.replace(old, new)
        if 'stem.0.conv.weight' in ours:
            for old, new in stem.items():
                if key.startswith(old + '.'):
                    key = new + key[len(old):]
        renamed[key] = value
    assert set(renamed) == set(ours)
    return renamed


def matching_norms(model, other):
    theirs = dict(other.named_modules())
    renamed = {'stem.0.bn': 'conv1.1', 'stem.1.bn': 'conv1.4', 'stem.2.bn': 'bn1'}
    if shortcut(model.state_dict()):
        renamed['layer1.0.downsample.1'] = 'layer1.0.downsample.2'
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm):
            yield module, theirs[renamed.get(name, name)]


class TestAgainstMMDetPlugin:

    def plugin(self):
        return MMDetResNet(
            50, norm_eval=False, frozen_stages=-1,
            plugins=[dict(cfg=dict(type='ECALayer', kernel_size=5), position='after_conv3')])

    def test_same_keys_same_output(self):
        stock = self.plugin()
        model = ECAResNet(50, kernel_size=5, out_indices=(0, 1, 2, 3))
        assert set(stock.state_dict()) == set(model.state_dict())
        assert 'layer1.0.eca.conv.weight' in model.state_dict()
        randomize_norms(model)
        stock.load_state_dict(model.state_dict())
        stock, model = stock.double(), model.double()
        x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
        for training in (False, True):
            stock.train(training)
            model.train(training)
            for a, b in zip(stock(x), model(x), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
