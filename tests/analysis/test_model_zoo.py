"""The pages of models agree with the metafiles, whose figures other tests recompute."""
import re

import pytest
import torchvision
from mmengine.config import Config

from eca_mm.analysis import build_model
from eca_mm.analysis.model_zoo import Family, load_families, model_zoo
from eca_mm.checkpoints.converters.torchvision import from_torchvision
from eca_mm.utils.errors import UserError
from tests.support.catalog import ALL_CONFIGS, ROOT


def test_page_is_up_to_date():
    page = (ROOT / 'docs/model_zoo.md').read_text()
    assert page == model_zoo(ROOT / 'model-index.yml'), 'run tools/analysis_tools/model_zoo.py'


FAMILIES = load_families(ROOT / 'model-index.yml')


@pytest.mark.parametrize('family', FAMILIES, ids=[family.folder.name for family in FAMILIES])
class TestReadme:

    def test_table_is_up_to_date(self, family):
        page = family.readme.read_text()
        assert page == family.updated_readme(), 'run tools/analysis_tools/model_zoo.py'
        assert len(family.models) == len(re.findall(r'^\| \[', page, re.M))

    def test_is_short_and_names_command_and_paper(self, family):
        text = re.sub(r'(?s)<!--.*-->', '', family.readme.read_text())
        assert len([line for line in text.splitlines() if line and line[0] != '|']) <= 13
        config, = set(re.findall(r'python tools/t(?:est|rain)\.py configs/(\S+)', text))
        assert config in ALL_CONFIGS and config.startswith(family.folder.name)
        assert re.search(r'Papers?:\s\[.+\]\(https://arxiv\.org/abs/\d{4}\.\d{5}\)', text)
        assert ('not reproduced here' in text.replace('\n', ' ')) == any(
            model.results for model in family.models)

    def test_links_lead_somewhere(self, family):
        links = re.findall(r'\]\((?!http)(.*?)(?:#.*?)?\)', family.readme.read_text())
        assert links and all((family.folder / link).exists() for link in links)


def test_readme_without_a_place_for_the_table(tmp_path):
    with pytest.raises(UserError, match='README.md needs a line'):
        Family('x', tmp_path, ()).updated_readme()


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
def test_torchvisions_weights_load_where_the_page_lists_them(name, config):
    page = model_zoo(ROOT / 'model-index.yml')
    assert re.search(rf'{re.escape(config)}\).* \| torchvision \|$', page, re.M)
    source = torchvision.models.get_model(name).state_dict()
    model = build_model(Config.fromfile(ROOT / 'configs' / config))
    model.load_state_dict(from_torchvision(source).weights, strict=True)
