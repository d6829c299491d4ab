"""docs/model_zoo.md says what the metafiles say, whose figures other tests recompute."""
import re

import pytest
import torchvision
from mmengine.config import Config

from eca_mm.analysis import build_model
from eca_mm.analysis.model_zoo import model_zoo
from eca_mm.checkpoints.converters.torchvision import from_torchvision
from tests.support.catalog import ALL_CONFIGS, ROOT


def test_page_is_up_to_date():
    page = (ROOT / 'docs/model_zoo.md').read_text()
    assert page == model_zoo(ROOT / 'model-index.yml'), 'run tools/analysis_tools/model_zoo.py'


def test_every_config_is_in_it_once_and_every_link_leads_somewhere():
    page = model_zoo(ROOT / 'model-index.yml')
    links = re.findall(r'\]\(\.\./configs/(.*?)\)', page)
    assert sorted(links) == ALL_CONFIGS
    assert all((ROOT / 'docs' / link).exists() for link in re.findall(r'\]\((.*?)\)', page))


def test_accuracies_and_weights():
    page = model_zoo(ROOT / 'model-index.yml')
    rows = {row.split(']')[0].removeprefix('| ['): row for row in page.splitlines() if '](' in row}
    assert rows['eca-resnet50-k3557_4xb64_in1k'].endswith(
        '| 25.557 M | 4.117 G | top-1 77.48, top-5 93.68 | authors |')
    assert rows['eca-resnet50d_8xb32_in1k'].endswith('| ecaresnet50d.miil_in1k |')
    assert rows['faster-rcnn_eca-r50_fpn_4xb2-1x_coco'].endswith('| box AP 38.0 | authors |')
    assert rows['eca-resnet50_4xb64_in1k'].endswith('| - | train |')


@pytest.mark.parametrize(('name', 'config'), [
    ('resnet18', 'resnet/resnet18_4xb64_in1k.py'),
    ('mobilenet_v2', 'mobilenet_v2/mobilenet-v2_4xb24_in1k.py')])
def test_torchvisions_weights_load_where_the_page_says_so(name, config):
    page = model_zoo(ROOT / 'model-index.yml')
    assert re.search(rf'{re.escape(config)}\).* \| torchvision \|$', page, re.M)
    source = torchvision.models.get_model(name).state_dict()
    model = build_model(Config.fromfile(ROOT / 'configs' / config))
    model.load_state_dict(from_torchvision(source).weights, strict=True)
