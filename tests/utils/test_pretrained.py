"""What ``init_cfg`` loads, and under which names, is what mmengine loads."""
import pytest
import torch
from mmengine.model.weight_init import PretrainedInit
from mmengine.runner.checkpoint import _load_checkpoint_with_prefix

from eca_mm.utils.pretrained import pretrained_configs, weights_as_loaded


@pytest.mark.parametrize(('init_cfg', 'positions'), [
    (None, []), ([], []), (dict(type='Kaiming', layer='Conv2d'), []),
    (dict(type='Pretrained', checkpoint='a'), [0]),
    ([dict(type='Constant', val=1, layer='Conv2d'), dict(type=PretrainedInit, checkpoint='a'),
      dict(type='mmengine.model.weight_init.PretrainedInit', checkpoint='b')], [1, 2]),
])
def test_entries_that_load_weights(init_cfg, positions):
    listed = init_cfg if isinstance(init_cfg, list) else [init_cfg]
    assert pretrained_configs(init_cfg) == [listed[position] for position in positions]


@pytest.mark.parametrize('prefix', ['backbone', 'backbone.', 'module.backbone', 'back'])
def test_under_a_prefix_as_mmengine(prefix, tmp_path):
    saved = {name: torch.ones(1) for name in (
        'backbone.conv.weight', 'backbone.module.conv.weight', 'module.backbone.fc.weight')}
    torch.save({'state_dict': saved}, tmp_path / 'a.pth')
    found = weights_as_loaded({'state_dict': saved}, prefix)
    if prefix == 'back':
        assert not found
    else:
        expected = _load_checkpoint_with_prefix(prefix, str(tmp_path / 'a.pth'))
        assert found.keys() == expected.keys()


def test_without_a_prefix_the_wrapper_is_dropped():
    saved = {'module.conv.weight': 1, 'conv.module.weight': 2}
    assert list(weights_as_loaded(saved)) == ['conv.weight', 'conv.module.weight']
