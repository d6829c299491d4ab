"""A frozen stage freezes its attention only if that was loaded."""
import copy
import logging
import pickle

import pytest
import torch
from mmdet.models.backbones import ResNet as MMDetResNet
from mmdet.models.backbones import ResNetV1d
from mmengine.logging import MMLogger
from mmengine.registry import MODELS
from mmpretrain.models.backbones import ResNet
from torch import nn

from eca_mm.backbones import AttentionResNet, ECAMobileNetV2, ECAResNet, ECAResNetD
from eca_mm.backbones.freezing import decide, frozen_attention
from eca_mm.backbones.with_attention import with_attention

ECA = [dict(cfg=dict(type='ECALayer'), position='after_conv3')]
SMALL = dict(base_channels=8, stem_channels=8)
NETWORKS = {
    'resnet': lambda **kw: ECAResNet(18, **SMALL, **kw),
    'resnet-d': lambda **kw: ECAResNetD(26, **SMALL, **kw),
    'se': lambda **kw: AttentionResNet(50, dict(type='SELayer', reduction=4), **SMALL, **kw),
    'cbam': lambda **kw: AttentionResNet(50, dict(type='CBAM', reduction=4), **SMALL, **kw),
    'mobilenet': lambda **kw: ECAMobileNetV2(widen_factor=.35, **kw),
    'mmdet': lambda **kw: MMDetResNet(50, plugins=ECA, **SMALL, **kw),
    'mmdet-v1d': lambda **kw: ResNetV1d(depth=50, plugins=ECA, **SMALL, **kw),
    'with-attention': lambda **kw: with_attention(MMDetResNet(50, **SMALL, **kw), ECA[0]['cfg']),
    'with-attention-mmpretrain': lambda **kw: with_attention(
        ResNet(18, **SMALL, **kw), ECA[0]['cfg']),
}


@pytest.fixture(params=NETWORKS)
def make(request):
    return lambda **kw: NETWORKS[request.param](frozen_stages=1, **kw)


def is_attention(name):
    return any(f'.{part}.' in name for part in ('eca', 'se', 'cbam'))


def plain(network):
    """The weights of the same network without an attention."""
    return {k: v for k, v in network.state_dict().items() if not is_attention(k)}


def check(network, attention_trained):
    """Which parameters are trained: all but the stem's and the first stage's others."""
    for name, parameter in network.named_parameters():
        frozen = name.startswith(('layer1.', 'conv1.', 'bn1.', 'stem.'))
        if frozen and is_attention(name):
            frozen = not attention_trained
        assert parameter.requires_grad == (not frozen), name


def test_never_loaded(make):
    network = make()
    check(network, attention_trained=True)
    network.init_weights()
    network.train()
    check(network, attention_trained=True)


def test_weights_without_attention(make):
    network = make()
    network.load_state_dict(plain(make()), strict=False)
    for mode in (True, False, True):
        network.train(mode)
        check(network, attention_trained=True)
        for name, module in network.named_modules():
            if name.startswith('layer1.') and not list(module.children()):
                assert module.training == (mode and is_attention(f'{name}.') and not isinstance(
                    module, nn.BatchNorm2d) or mode and is_attention(f'{name}.')
                    and not getattr(network, 'norm_eval', False)), name


def test_weights_with_attention(make):
    network = make()
    network.load_state_dict(make().state_dict())
    check(network, attention_trained=False)
    network.train()
    check(network, attention_trained=False)
    assert not any(module.training for module in network.layer1.modules())


def test_pretrained(make, tmp_path):
    source = make()
    torch.save({'state_dict': {f'backbone.{k}': v for k, v in source.state_dict().items()}},
               tmp_path / 'with.pth')
    torch.save({'state_dict': plain(source)}, tmp_path / 'without.pth')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'with.pth'), prefix='backbone.')
    network = make(init_cfg=init)
    network.init_weights()
    check(network, attention_trained=False)
    network = make(init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'without.pth')))
    network.init_weights()
    network.train()
    check(network, attention_trained=True)


def test_the_attention_learns_and_its_stage_does_not(make):
    network = make()
    network.load_state_dict(plain(make()), strict=False)
    network.train()
    before = copy.deepcopy(network.state_dict())
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=1)
    sum(out.square().mean() for out in network(torch.randn(4, 3, 64, 64))).backward()
    optimizer.step()
    for name, parameter in network.named_parameters():
        if name.startswith('layer1.'):
            assert parameter.equal(before[name]) == (not is_attention(name)), name
    for name, buffer in network.named_buffers():
        if name.startswith('layer1.') and not is_attention(name):
            assert buffer.equal(before[name]), name


def test_other_shapes_are_not_loaded():
    network = ECAResNet(18, frozen_stages=1, **SMALL)
    weights = ECAResNet(18, kernel_size=9, **SMALL).state_dict()
    weights = {k: v for k, v in weights.items() if not is_attention(k) or k.startswith('layer1.0')}
    with pytest.raises(RuntimeError, match='size mismatch'):
        network.load_state_dict(weights, strict=False)
    check(network, attention_trained=True)


def test_each_layer_for_itself():
    network = ECAResNet(18, frozen_stages=1, **SMALL)
    weights = plain(network)
    weights['layer1.1.eca.conv.weight'] = network.state_dict()['layer1.1.eca.conv.weight']
    network.load_state_dict(weights, strict=False)
    assert network.layer1[0].eca.conv.weight.requires_grad
    assert not network.layer1[1].eca.conv.weight.requires_grad


def test_a_convolution_with_attention_counts():
    cfg = dict(type='AAConv2d', map_size=16, num_heads=2)
    network = AttentionResNet(50, conv2_cfg=cfg, base_channels=64, frozen_stages=1)
    assert all(p.requires_grad for p in network.layer1[0].conv2.parameters())
    assert not network.layer1[0].conv1.weight.requires_grad
    network.load_state_dict(network.state_dict())
    assert not any(p.requires_grad for p in network.layer1.parameters())


def test_a_stage_that_is_frozen_later_goes_by_what_was_loaded():
    for keep in (lambda name: True, lambda name: not name.startswith('layer2.') or (
            not is_attention(name))):
        network = ECAResNet(18, frozen_stages=1, **SMALL)
        network.load_state_dict({name: value for name, value in network.state_dict().items()
                                 if keep(name)}, strict=False)
        network.frozen_stages = 2
        network.train()
        assert not network.layer2[0].conv1.weight.requires_grad
        assert network.layer2[0].eca.conv.weight.requires_grad == (
            not keep('layer2.0.eca.conv.weight'))


def test_what_is_loaded_into_a_whole_model_counts():
    model = nn.ModuleDict({'backbone': ECAResNet(18, frozen_stages=1, **SMALL)})
    model.load_state_dict(model.state_dict())
    model.train()
    assert not any(p.requires_grad for p in model['backbone'].layer1.parameters())


@MODELS.register_module()
class GateOfAUser(nn.Module):
    _abbr_ = 'own'

    def __init__(self, in_channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, in_channels, 1, 1))

    def forward(self, x):
        return x * self.weight


@pytest.mark.parametrize(('attention', 'name'), [
    # One attention, though it consists of others.
    (dict(type='SCSELayer', reduction=4), 'scse'), (dict(type='GateOfAUser'), 'own')])
def test_whatever_the_attention_of_a_block_is_it_counts_once(attention, name):
    network = AttentionResNet(18, attention, frozen_stages=1, **SMALL)
    assert frozen_attention(network) == {f'layer1.{block}.{name}': False for block in range(2)}
    assert all(p.requires_grad for p in network.layer1[0].get_submodule(name).parameters())
    network.load_state_dict(network.state_dict())
    network.frozen_stages = 2
    network.train()
    assert frozen_attention(network) == {
        f'layer{stage}.{block}.{name}': True for stage in (1, 2) for block in range(2)}


def test_what_a_user_freezes_stays_frozen():
    network = ECAResNet(18, frozen_stages=1, **SMALL).requires_grad_(False)
    network.train()
    assert not any(p.requires_grad for p in network.parameters())


def test_stock_networks_are_as_they_were():
    network = MMDetResNet(50, frozen_stages=2, **SMALL)
    network.train()
    assert not any(p.requires_grad for p in network.layer2.parameters())
    assert frozen_attention(network) == {} and not network._load_state_dict_pre_hooks


def test_decided_beforehand_loading_changes_nothing():
    model = nn.ModuleDict({'backbone': ECAResNet(18, frozen_stages=1, **SMALL)})
    decide(model, lambda name, layer: name == 'backbone.layer1.0.eca')
    expected = {'backbone.layer1.0.eca': True, 'backbone.layer1.1.eca': False}
    assert frozen_attention(model) == expected
    model.load_state_dict(model.state_dict())
    model.train()
    assert frozen_attention(model) == expected
    assert not model.backbone.layer1[0].eca.conv.weight.requires_grad
    assert model.backbone.layer1[1].eca.conv.weight.requires_grad


def test_copies_decide_for_themselves(make):
    network = make()
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        other.load_state_dict(make().state_dict())
        check(other, attention_trained=False)
        check(network, attention_trained=True)


@pytest.mark.parametrize('norm_eval', [True, False])
@pytest.mark.parametrize('make', [NETWORKS['cbam'], lambda **kw: with_attention(
    MMDetResNet(50, **SMALL, **kw), dict(type='CBAM', reduction=4))], ids=['ours', 'any'])
def test_the_norms_of_a_spared_attention_follow_norm_eval(make, norm_eval):
    network = make(frozen_stages=1, norm_eval=norm_eval)

    def check_norms():
        assert network.layer1[0].cbam.training
        for stage in (network.layer1, network.layer2):
            norms = [module for module in stage[0].cbam.modules()
                     if isinstance(module, nn.BatchNorm2d)]
            assert norms and all(module.training != norm_eval for module in norms)
        assert not network.layer1[0].bn1.training

    network.train()
    check_norms()
    network._freeze_stages()
    check_norms()
    decide(network, lambda name, layer: False)
    check_norms()
    decide(network, lambda name, layer: True)
    assert not any(module.training for module in network.layer1.modules()
                   if isinstance(module, nn.BatchNorm2d))


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def test_said_once(make):
    network, logger, handler = make(), MMLogger.get_current_instance(), Lines()
    model = nn.ModuleDict({'backbone': network, 'head': nn.Linear(2, 2)})
    logger.handlers.append(handler)
    try:
        network.load_state_dict(plain(network), strict=False)
        network.train()
        network.train()
        # Weights of other parts say nothing of these.
        model.load_state_dict({'head.bias': torch.ones(2)}, strict=False)
    finally:
        logger.handlers.remove(handler)
    line, = (line for line in handler.lines if 'do not contain the attention of frozen' in line)
    assert 'layer1.0.' in line and 'layer2' not in line
