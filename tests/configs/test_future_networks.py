"""ECA in the networks beyond the paper's: MMPretrain's own recipes, with one more part."""
import re

import pytest
import torch
from mmengine.hub import get_config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample

from eca_mm.analysis import build_model, count_parameters
from eca_mm.engine.config import load_config
from eca_mm.layers import ECALayer
from tests.support.catalog import ALL_CONFIGS, ROOT, load, unscoped

# For each its recipe in mmpretrain.
RECIPES = {
    'eca_inception_v3': 'inception_v3/inception-v3_8xb32_in1k',
    'eca_resnest': 'resnest/resnest50_32xb64_in1k',
    'eca_res2net': 'res2net/res2net50-w26-s8_8xb32_in1k',
    'eca_regnet': 'regnet/regnetx-4.0gf_8xb64_in1k',
    'eca_mobilenet_v3': 'mobilenet_v3/mobilenet-v3-large_8xb128_in1k',
    'eca_efficientnet': 'efficientnet/efficientnet-b0_8xb32_in1k',
    'eca_convnext': 'convnext/convnext-tiny_32xb128_in1k'}
NAMES = [name for name in ALL_CONFIGS if name.partition('/')[0] in RECIPES]
MOBILE = 'eca_mobilenet_v3/eca-mobilenet-v3-large_8xb128_in1k.py'


def recipe(name):
    return get_config(f'mmpretrain::{RECIPES[name.partition("/")[0]]}.py')


def test_all_are_here():
    assert len(NAMES) == len(RECIPES) == 7


@pytest.mark.parametrize('name', NAMES)
def test_all_but_the_attention_is_the_stock_recipe(name):
    ours, stock = unscoped(load(name).to_dict()), unscoped(recipe(name).to_dict())
    assert ours['model']['backbone']['network'] == stock['model']['backbone']
    assert {**ours['model'], 'backbone': None} == {**stock['model'], 'backbone': None}
    for key in ('optim_wrapper', 'param_scheduler'):
        assert ours[key] == stock[key]
    assert ours['auto_scale_lr'] == stock['auto_scale_lr']
    pipeline = ours['train_dataloader']['dataset']['pipeline']
    assert pipeline[0] == dict(type='SeedSample')
    assert pipeline[1:] == stock['train_dataloader']['dataset']['pipeline']
    assert ours['custom_hooks'][:-2] == stock.get('custom_hooks', [])


# The quick ones: squeeze-and-excitation is replaced, and nothing is.
@pytest.mark.parametrize('name', [
    name if 'mobilenet' in name or 'regnet' in name else pytest.param(name, marks=pytest.mark.slow)
    for name in NAMES])
def test_one_step(name):
    torch.manual_seed(0)
    config = load(name)
    init_default_scope(config.default_scope)
    config.model.data_preprocessor = config.data_preprocessor
    model = MODELS.build(config.model).train()
    plain = MODELS.build(recipe(name).model.backbone).state_dict()
    weights = model.backbone.state_dict()
    new = {key for key in weights if re.search(r'(^|\.)eca\.conv\.weight$', key)}
    assert set(weights) - set(plain) == new
    gone = set(plain) - set(weights)
    assert bool(gone) == ('mobilenet' in name or 'efficientnet' in name)
    assert all('.se.' in key for key in gone)

    layers = [module for module in model.modules() if isinstance(module, ECALayer)]
    assert len(layers) == len(new)
    before = [layer.conv.weight.detach().clone() for layer in layers]
    size = 96 if 'inception' in name else 64
    data = dict(inputs=list(torch.randint(256, (2, 3, size, size), dtype=torch.uint8)),
                data_samples=[DataSample().set_gt_label(label) for label in (0, 999)])
    losses = model.train_step(data, build_optim_wrapper(model, config.optim_wrapper))
    assert losses['loss'].isfinite() and losses['loss'] > 0
    assert not [i for i, layer in enumerate(layers) if layer.conv.weight.equal(before[i])]


def test_overrides_reach_the_network():
    path = str(ROOT / 'configs' / MOBILE)
    params, trainable = count_parameters(build_model(load_config(path)))
    assert params == trainable
    frozen = load_config(path, {'model.backbone.network.frozen_stages': 3})
    params_too, trainable = count_parameters(build_model(frozen))
    assert params_too == params and 0 < trainable < params
    small = load_config(path, {'model.backbone.network.arch': 'small',
                               'model.head.in_channels': 576})
    assert count_parameters(build_model(small))[0] < params
