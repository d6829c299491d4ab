"""What is done to whole networks works on those that WithAttention has changed."""
import copy
import io
import re

import pytest
import torch
from mmcv.cnn import fuse_conv_bn
from mmengine.analysis import get_model_complexity_info
from mmengine.model import ExponentialMovingAverage, revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from eca_mm.backbones import ECAResNet
from eca_mm.layers import ECALayer
from tests.support.backbones import randomize_norms
from tests.support.processes import ROOT, run_in_processes

# One for each way of being attached: behind a normalisation, in place of an attention, before a
# DropPath, on the sum of RepVGG's branches.
NETWORKS = {
    'ResNet': ('mmdet', dict(type='ResNet', depth=18, base_channels=8, stem_channels=8)),
    'CSPNeXt': ('mmdet', dict(type='CSPNeXt', deepen_factor=.167, widen_factor=.125)),
    'ConvNeXt': ('mmpretrain', dict(type='ConvNeXt', arch=dict(
        depths=[1, 1, 1, 1], channels=[8, 16, 24, 32]), drop_path_rate=.1,
                                    layer_scale_init_value=1.)),
    'RepVGG': ('mmpretrain', dict(type='RepVGG', arch=dict(
        num_blocks=[1, 1, 1, 1], width_factor=[.125, .125, .125, .125], group_layer_map=None,
        se_cfg=None)))}


def build(name, **options):
    scope, network = NETWORKS[name]
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(dict(type='WithAttention', attention=dict(type='ECALayer'),
                                  network={**network, **options}))
    randomize_norms(model)
    # Not chained: eval() of these networks returns nothing.
    model.eval()
    return model


@pytest.fixture(scope='module', params=NETWORKS)
def case(request):
    """A network, an image and its maps."""
    torch.manual_seed(0)
    model, x = build(request.param), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        return model, x, model(x)


def same(model, x, maps, tolerance=1e-5):
    with torch.no_grad():
        for found, expected in zip(model(x), maps, strict=True):
            torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def test_copies(case):
    model, x, maps = case
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    for other in (copy.deepcopy(model), torch.load(buffer, weights_only=False)):
        same(other, x, maps)
        for layer in [part for part in other.modules() if isinstance(part, ECALayer)]:
            nn.init.constant_(layer.conv.weight, 3)
        assert not torch.allclose(other(x)[-1], maps[-1])
    same(model, x, maps)


def test_sync_batch_norm_and_back_then_fused(case):
    model, x, maps = copy.deepcopy(case[0]), *case[1:]
    plain = revert_sync_batchnorm(nn.SyncBatchNorm.convert_sync_batchnorm(model))
    assert not [part for part in plain.modules() if isinstance(part, nn.SyncBatchNorm)]
    same(plain, x, maps)
    same(fuse_conv_bn(plain), x, maps, 1e-4)


@pytest.mark.parametrize('se_cfg', [None, dict(ratio=4)])
def test_merged_branches_keep_the_attention(se_cfg):
    arch = {**NETWORKS['RepVGG'][1]['arch'], 'se_cfg': se_cfg}
    model, x = build('RepVGG', arch=arch), torch.randn(1, 3, 64, 64)
    layers = [part for part in model.modules() if isinstance(part, ECALayer)]
    assert len(layers) == 5 and not [name for name in model.state_dict() if 'se_layer' in name]
    with torch.no_grad():
        maps = model(x)
        model.switch_to_deploy()
        same(model, x, maps)
        for layer in layers:
            nn.init.constant_(layer.conv.weight, 3)
        assert not torch.allclose(model(x)[-1], maps[-1])


def test_traces_and_averages(case):
    model, x, maps = case
    same(torch.jit.trace(model, x), x, maps)
    average = ExponentialMovingAverage(model)
    average.update_parameters(model)
    average.module.eval()
    same(average.module, x, maps)


@pytest.mark.slow
def test_compiles(case):
    model, x, maps = case
    torch._dynamo.reset()
    same(torch.compile(model, backend='eager', fullgraph=True), x, maps)
    rebuilt = revert_sync_batchnorm(nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(model)))
    torch._dynamo.reset()
    same(torch.compile(rebuilt, backend='eager'), x, maps)


def test_flops_are_those_of_our_own_backbone():
    ours = ECAResNet(18, base_channels=8, stem_channels=8, out_indices=(0, 1, 2, 3))
    ours.eval()
    counted = [get_model_complexity_info(model, (3, 64, 64), show_table=False, show_arch=False)
               for model in (ours, build('ResNet'))]
    assert [counts['flops'] for counts in counted] == [counted[0]['flops']] * 2
    assert counted[0]['params'] == counted[1]['params']


def test_the_two_lines_of_the_readme(capsys):
    """They put ECA into torchvision's ResNet-50."""
    code, = re.findall(r'^python -c "(import eca_mm, torchvision[^"]*)"$',
                       (ROOT / 'README.md').read_text(), re.MULTILINE)
    assert len(code.splitlines()) == 2
    exec(code, {})
    assert capsys.readouterr().out.startswith(
        'Added 16 ECALayer with 86 parameters, the first after layer1.0.bn3')


def test_a_stem_that_puts_pixels_into_channels():
    """YOLOX's first convolution has 12 input channels; the network takes 3."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(dict(
            type='WithAttention', attention=dict(type='ECALayer'), at=r'stage[34]',
            network=dict(type='CSPDarknet', deepen_factor=.33, widen_factor=.25)))
    assert [layer.in_channels for layer in (model.stage3_eca, model.stage4_eca)] == [128, 256]


def _process(rank, name, folder):
    torch.distributed.init_process_group('gloo')
    torch.manual_seed(0)
    options = dict(frozen_stages=1, with_cp=True) if name == 'ResNet' else {}
    model = build(name, **options)
    model.train()
    model = nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=.01)
    torch.manual_seed(rank)
    # A parameter that takes no part in the loss ends the second step in an error.
    for _ in range(2):
        optimizer.zero_grad()
        sum(y.square().mean() for y in model(torch.randn(2, 3, 64, 64))).backward()
        optimizer.step()
    torch.save({key: (value.requires_grad, value.detach().tolist())
                for key, value in model.module.named_parameters() if '.eca.' in key},
               folder / f'{rank}.pt')
    torch.distributed.barrier()


@pytest.mark.parametrize('name', ['ResNet', 'CSPNeXt'])
def test_two_processes_have_no_unused_parameters(name, tmp_path):
    assert run_in_processes(2, _process, name, tmp_path) == [0, 0]
    first, second = (torch.load(tmp_path / f'{rank}.pt') for rank in range(2))
    assert first == second and first
    # No weights were loaded: the attention of the frozen stage learns too.
    assert all(trained for trained, _ in first.values())
