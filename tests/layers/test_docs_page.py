"""The code of docs/add_your_own_attention.md runs, and the layer it shows keeps the contract."""
import re
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS

from tests.support.contract import ChannelAttentionContract

PAGE = Path(__file__).parents[2] / 'docs' / 'add_your_own_attention.md'
BLOCKS = re.findall(r'```python\n(.*?)```', PAGE.read_text(encoding='utf-8'), re.DOTALL)


@pytest.fixture(scope='module')
def page():
    """What all blocks of the page define, run in order."""
    namespace = {}
    for block in BLOCKS:
        exec(compile(block, str(PAGE), 'exec'), namespace)
    yield namespace
    MODELS.module_dict.pop('ContrastLayer')


def test_thirty_lines():
    """Comments and blank lines included."""
    assert 'class ContrastLayer' in BLOCKS[0] and len(BLOCKS[0].splitlines()) <= 30


def test_both_networks_have_the_same_keys(page):
    ours = {key for key in page['everywhere'].state_dict() if 'contrast' in key}
    assert len(ours) == 2 * 16
    assert ours == {key for key in page['backbone'].state_dict() if 'contrast' in key}
    assert page['everywhere'].layer1[0].contrast.eps == 1e-4


def test_entries_choose_the_stages(page):
    stages = {key[:6] for key in page['last_two_stages'].state_dict() if 'contrast' in key}
    assert stages == {'layer3', 'layer4'}
    assert any('contrast' in key for key in page['mobile'].state_dict())


def test_config(page):
    backbone = MODELS.build(page['model']['backbone'])
    assert set(backbone.state_dict()) == set(page['everywhere'].state_dict())
    assert page['custom_imports']['imports'][0] == 'eca_mm'


class TestContrastLayer(ChannelAttentionContract):
    abbr = 'contrast'

    @pytest.fixture(autouse=True)
    def named_by_the_page(self, page):
        self.layer = page['ContrastLayer']

    def test_equals_its_equation(self):
        layer, x = self.build().double(), self.input(dtype=torch.float64)
        y = x.mean((2, 3))
        normed = (y - y.mean(1, keepdim=True)) / (y.var(1, keepdim=True, correction=0) + 1e-5)**0.5
        gate = (layer.weight * normed + layer.bias).sigmoid()
        torch.testing.assert_close(layer(x), x * gate[:, :, None, None])
