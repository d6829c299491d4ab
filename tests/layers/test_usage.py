"""Every layer in our backbones and as a plugin of mmdet's ResNet."""
import pytest
import torch
from mmdet.models.backbones import ResNet as MMDetResNet

from eca_mm.backbones import AttentionMobileNetV2, AttentionResNet
from eca_mm.layers import ChannelAttention
from tests.support.contract import randomize

# Name in checkpoints and config; a list has one config per stage, whose maps have different sizes.
LAYERS = {
    'se': dict(type='SELayer', reduction=4),
    'se_var1': dict(type='SEVar1Layer'),
    'se_var2': dict(type='SEVar2Layer'),
    'se_var3': dict(type='SEVar3Layer'),
    'se_gc': dict(type='SEGCLayer', groups='C/8'),
    'eca_ns': dict(type='ECANSLayer'),
    'eca': dict(type='ECALayer', num_convs=2, padding_mode='circular'),
    'cbam': dict(type='CBAM', reduction=4),
    'eca_spatial': dict(type='ECASpatialLayer'),
    'scse': dict(type='SCSELayer', reduction=4),
    'ge': dict(type='GELayer', variant='theta', extent=2),
    'ge_global': [dict(type='GELayer', variant='theta+', map_size=s, reduction=4)
                  for s in (16, 8, 4, 2)],
    'a2': dict(type='DoubleAttention'),
    'gsop': dict(type='GSoPLayer', cov_channels=8),
    'context_block': dict(type='GCBlock', reduction=4),
    'nonlocal_block': dict(type='NonLocalBlock'),
}
MOBILE_SIZES = (32, 16, 8, 4, 4, 2, 2)


def in_resnet(attention, **kwargs) -> AttentionResNet:
    return AttentionResNet(
        50, attention, stem_channels=8, base_channels=8, out_indices=(0, 1, 2, 3), **kwargs)


def in_mobilenet(attention) -> AttentionMobileNetV2:
    return AttentionMobileNetV2(attention=attention, widen_factor=0.25)


def as_plugin(attention) -> MMDetResNet:
    """One plugin per stage, the way to give stages different options."""
    per_stage = attention if isinstance(attention, list) else [attention] * 4
    plugins = [dict(cfg=cfg, stages=tuple(i == j for j in range(4)), position='after_conv3')
               for i, cfg in enumerate(per_stage)]
    return MMDetResNet(50, base_channels=8, frozen_stages=-1, norm_eval=False, plugins=plugins)


@pytest.mark.parametrize('name', LAYERS)
def test_backbone_and_plugin_agree(name):
    model, stock = in_resnet(LAYERS[name]), as_plugin(LAYERS[name])
    randomize(model)
    for parameter in model.parameters():
        parameter.data *= 0.3  # random weights of 16 blocks in a row would overflow
    assert set(model.state_dict()) == set(stock.state_dict())
    has_state = [key for key in model.state_dict() if f'.{name.split("_global")[0]}.' in key]
    assert name == 'se_var1' or len(has_state) >= 16
    stock.load_state_dict(model.state_dict())
    model, stock = model.double().eval(), stock.double()
    stock.eval()  # mmdet's returns None
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    for ours, theirs in zip(model(x), stock(x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize('name', LAYERS)
def test_mobilenet_v2(name):
    attention = LAYERS[name]
    if name == 'ge_global':
        attention = [dict(attention[0], map_size=s) for s in MOBILE_SIZES]
    model = in_mobilenet(attention)
    stage = randomize(model.layer2)  # one block without and one with a shortcut
    x = torch.rand(2, stage[0].conv[0].conv.in_channels, 32, 32)
    out = stage(x)
    out.sum().backward()
    assert all(p.grad is not None for p in stage.parameters())
    for block in stage:
        residual = block.conv(x)
        attended = getattr(block, name.split('_global')[0])(residual)
        x = attended if block.stride == 2 else x + attended
    torch.testing.assert_close(out, x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('name', ['a2', 'context_block', 'nonlocal_block'])
@pytest.mark.parametrize('build', [in_resnet, as_plugin])
def test_residual_blocks_start_as_the_identity(name, build):
    """Also after the backbone's own initialisation, which reaches the layers' convolutions."""
    model = build(LAYERS[name])
    model.init_weights()
    x = torch.randn(2, 32, 4, 4)
    assert getattr(model.layer1[0], name)(x).equal(x)


def test_pretrained_weights_are_not_initialised_again(tmp_path):
    model = randomize(in_resnet(LAYERS['a2']))
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'a2.pth')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'a2.pth'))
    loaded = in_resnet(LAYERS['a2'], init_cfg=init)
    loaded.init_weights()
    assert loaded.layer1[0].a2.bn.weight.equal(model.layer1[0].a2.bn.weight)


@pytest.mark.parametrize('build', [in_resnet, as_plugin, in_mobilenet])
@pytest.mark.parametrize('cfg,why', [
    (dict(type='SELayer', reduction=512), 'reduction is 512'),
    (dict(type='CBAM', reduction=512), 'reduction is 512'),
    (dict(type='SCSELayer', reduction=512), 'reduction is 512'),
    (dict(type='ECASpatialLayer', spatial_kernel_size=4), 'spatial convolution is 4'),
    (dict(type='SEGCLayer', groups=48), 'does not divide'),
    (dict(type='GELayer', variant='theta'), 'map_size is None'),
    (dict(type='GSoPLayer'), 'no more than the (32|8) channels'),
    (dict(type='GCBlock', reduction=512), 'reduction is 512'),
    (dict(type='NonLocalBlock', reduction=512), 'reduction is 512'),
    (dict(type='DoubleAttention', reduction=512), 'reduction is 512'),
    (dict(type='AAConv2d', map_size=16), r'replaces a convolution.*conv2_cfg'),
])
def test_misfits_are_explained(build, cfg, why):
    with pytest.raises(ValueError, match=why):
        build(cfg)


@pytest.mark.parametrize('build', [in_resnet, as_plugin, in_mobilenet])
def test_map_smaller_than_the_extent_is_explained(build):
    model = build(dict(type='GELayer', extent=8))
    with pytest.raises(ValueError, match='extent of 8'):
        model(torch.randn(1, 3, 64, 64))


def test_the_channel_attentions_are_fused():
    """Every layer whose weights depend on the average alone rides on the addition."""
    family = {name for name, cfg in LAYERS.items() if name != 'ge_global' and isinstance(
        getattr(AttentionResNet(18, cfg, base_channels=8).layer1[0], name), ChannelAttention)}
    assert family == {'se', 'se_var1', 'se_var2', 'se_var3', 'se_gc', 'eca_ns', 'eca'}
