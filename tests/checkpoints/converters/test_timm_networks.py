"""timm's ECA networks that are not ResNets: recognised, and the same in MMPretrain."""
import pytest
import timm
import torch
from mmengine.registry import MODELS, DefaultScope

from eca_mm.checkpoints.converters.timm import from_timm
from eca_mm.checkpoints.converters.timm_networks import NAMES
from eca_mm.checkpoints.keys import MisfitError
from eca_mm.utils.errors import UserError
from tests.support.catalog import load
from tests.support.randomize import randomize

CONVERTED = ('eca_resnet33ts', 'eca_resnext26ts', 'eca_vovnet39b')
# A few seconds each; VoVNet stands for all.
QUICK = 'eca_vovnet39b'


def test_every_eca_network_of_timm_is_converted():
    others = [name for name in timm.list_models('*eca*') if not name.startswith('ecaresne')]
    assert sorted(others) == sorted(NAMES)


@pytest.mark.parametrize('name', [
    name if name == QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES])
def test_same_scores(name):
    torch.manual_seed(0)
    theirs = randomize(timm.create_model(name, num_classes=7)).eval()
    conversion = from_timm({'state_dict_ema': theirs.state_dict()})
    config = load(conversion.base)
    written = 'backbone' in conversion.changes['model']
    assert written != (name in CONVERTED)
    config.merge_from_dict(conversion.changes)
    assert config.model.backbone.model_name == name
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        ours = MODELS.build(config.model).eval()
    ours.load_state_dict(conversion.weights, strict=True)
    x = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


def test_other_and_incomplete_weights():
    weights = timm.create_model('eca_vovnet39b').state_dict()
    del weights['stem.0.conv.weight']
    with pytest.raises(UserError, match='none of the ECA networks of timm'):
        from_timm(weights)
    weights = timm.create_model('eca_vovnet39b').state_dict()
    del weights['head.fc.bias']
    with pytest.raises(MisfitError, match='head.fc.bias'):
        from_timm(weights)
