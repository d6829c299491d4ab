"""The checks look through WithAttention at the network in it."""
import copy

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS

from eca_mm.config_check import building, frozen, keys, training, weights
from tests.support.config_checks import NARROW, changed, run

NETWORK = 'model.backbone.network'


@pytest.fixture
def config(detector, root):
    """A Mask R-CNN whose plain ResNet-18 gets ECA by WithAttention; nothing to object to."""
    config = copy.deepcopy(detector)
    config.model.backbone = ConfigDict(
        type='WithAttention', attention=dict(type='ECALayer'), network=dict(
            type='ResNet', depth=18, **NARROW, frozen_stages=1, norm_cfg=dict(type='BN'),
            norm_eval=True,
            init_cfg=dict(type='Pretrained', checkpoint=str(root / 'plain.pth'),
                          prefix='backbone.')))
    return config


def test_a_sound_one(config):
    for check in (keys, weights, frozen, training):
        assert run(check, config, gpus=4) == []


@pytest.mark.parametrize(('changes', 'where'), [
    ({'init_cfg.checkpoint': 'absent.pth'}, 'init_cfg.checkpoint'),
    ({'init_cfg.prefix': 'encoder.'}, 'init_cfg.prefix'),
    ({'depth': 34}, 'init_cfg.checkpoint')])
def test_weights_of_the_network(config, changes, where, monkeypatch, root):
    monkeypatch.chdir(root)
    changes = {f'{NETWORK}.{key}': value for key, value in changes.items()}
    finding, = run(weights, changed(config, changes))
    assert (finding.level, finding.where) == ('error', f'{NETWORK}.{where}')


def test_weights_with_attention_are_those_of_the_network_with_attention(config, root):
    path = f'{NETWORK}.init_cfg.checkpoint'
    assert run(weights, changed(config, {path: str(root / 'r18.pth')})) == []
    finding, = run(weights, changed(config, {
        path: str(root / 'r18.pth'), 'model.backbone.attention.type': 'SELayer'}))
    assert finding.where == path and 'layer1.0.eca.conv.weight' in finding.message


def test_weights_of_what_is_replaced_may_be_there(config, tmp_path):
    network = dict(type='mmpretrain.SEResNet', depth=50)
    torch.save(MODELS.build(network).state_dict(), tmp_path / 'se.pth')
    config.model.backbone.network = ConfigDict(
        network, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'se.pth')))
    assert run(weights, config) == []


def test_frozen_stages_without_weights(config):
    bare = changed(config, {f'{NETWORK}.init_cfg': None})
    assert [f.where for f in run(training, bare, gpus=4)] == [
        f'{NETWORK}.frozen_stages', f'{NETWORK}.norm_eval']
    assert run(training, changed(bare, {
        f'{NETWORK}.frozen_stages': -1, f'{NETWORK}.norm_cfg.type': 'SyncBN',
        f'{NETWORK}.norm_eval': False}), gpus=4) == []


def test_frozen_parameters_that_no_weights_fill(config, root, tmp_path):
    plain = torch.load(root / 'plain.pth')
    plain = {name: value for name, value in plain.items() if 'layer1.0.conv1' not in name}
    torch.save(plain, tmp_path / 'part.pth')
    path = f'{NETWORK}.init_cfg.checkpoint'
    finding, = run(frozen, changed(config, {path: str(tmp_path / 'part.pth')}))
    assert finding.message.startswith('1 frozen parameters ')
    assert finding.message.endswith('backbone.layer1.0.conv1.weight')


def test_statistics_of_few_images(config):
    finding, = run(training, changed(config, {f'{NETWORK}.norm_eval': False}), gpus=4)
    assert (finding.check, finding.where) == ('bn', f'{NETWORK}.norm_eval')
    assert run(training, changed(config, {
        f'{NETWORK}.norm_eval': False, f'{NETWORK}.norm_cfg.type': 'SyncBN'}), gpus=4) == []


@pytest.mark.parametrize(('changes', 'where', 'message'), [
    ({'network.frozen_stage': 1}, 'network.frozen_stage', "did you mean 'frozen_stages'"),
    ({'network.type': 'ResNot'}, 'network.type', "did you mean 'ResNet'"),
    ({'attention.type': 'ECALaier'}, 'attention.type', "did you mean 'ECALayer'"),
    ({'atention': 1}, 'atention', "did you mean 'attention'")])
def test_slips(config, changes, where, message):
    changes = {f'model.backbone.{key}': value for key, value in changes.items()}
    finding, = run(keys, changed(config, changes))
    assert finding.where == f'model.backbone.{where}' and message in finding.message


def test_what_building_refuses(config):
    finding, = run(building, changed(config, {'model.backbone.depth': 50}))
    assert "options of the network belong in its own config, as network.depth" in finding.message
    finding, = run(building, changed(config, {'model.neck.in_channels': [256, 512, 1024, 2048]}))
    assert finding.where == 'model.neck' and 'fails in neck.lateral_convs' in finding.message
    finding, = run(building, changed(config, {'model.backbone.at': r'layer9\.\d'}))
    assert "matches no module of ResNet" in finding.message
