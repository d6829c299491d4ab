"""Weights that do not fit."""
import pytest
import torch

from eca_mm.config_check import weights
from tests.support.config_checks import changed, run


@pytest.mark.parametrize(('changes', 'where'), [
    ({'init_cfg.checkpoint': 'absent.pth'}, 'checkpoint'),
    ({'init_cfg.prefix': 'encoder.'}, 'prefix'),
    ({'depth': 34}, 'checkpoint'),
    ({'base_channels': 32, 'stem_channels': 32}, 'checkpoint'),
    ({'init_cfg.checkpoint': 'deeper.pth'}, 'checkpoint'),
])
def test_weights_of_the_backbone(detector, root, changes, where, monkeypatch):
    monkeypatch.chdir(root)
    changes = {f'model.backbone.{key}': value for key, value in changes.items()}
    finding, = run(weights, changed(detector, changes))
    assert (finding.level, finding.where) == ('error', f'model.backbone.init_cfg.{where}')


def test_the_prefixes_of_a_file_are_reported(detector):
    finding, = run(weights, changed(detector, {'model.backbone.init_cfg.prefix': 'encoder'}))
    assert finding.expected == 'one of backbone'


def test_an_attention_may_be_new_to_the_weights(detector, root):
    file = 'model.backbone.init_cfg.checkpoint'
    assert run(weights, changed(detector, {file: str(root / 'plain.pth')})) == []
    config = changed(detector, {
        'model.backbone': dict(type='AttentionResNet', attention=dict(type='SELayer'))})
    del config.model.backbone.kernel_size
    finding, = run(weights, config)
    assert finding.where == file and 'layer1.0.eca.conv.weight' in finding.message


def test_weights_to_start_from(classifier, root):
    finding, = run(weights, changed(classifier, {'load_from': 'absent.pth'}))
    assert (finding.level, finding.where) == ('error', 'load_from')
    # The head is new.
    finding, = run(weights, changed(classifier, {'load_from': str(root / 'r18.pth')}))
    assert (finding.level, finding.where) == ('warning', 'load_from')
    assert 'head.fc.weight' in finding.message
    torch.save({'weight': torch.zeros(1)}, root / 'other.pth')
    finding, = run(weights, changed(classifier, {'load_from': str(root / 'other.pth')}))
    assert (finding.level, finding.where) == ('error', 'load_from')
