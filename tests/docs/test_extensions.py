"""What the documentation's extensions make of metafiles, the package and links."""
import re
import runpy
import subprocess

import pytest

pytest.importorskip('sphinx', reason='Sphinx is not installed (requirements/docs.txt)')

from tests.conftest import REPOSITORY
from tests.support.catalog import ALL_CONFIGS

model_zoo_page = pytest.importorskip('model_zoo_page')
api_pages = pytest.importorskip('api_pages')
project_urls = pytest.importorskip('project_urls')
ENTRIES = {entry.name: entry for entry in model_zoo_page.entries()}


def test_every_config_has_an_entry():
    assert sorted(entry.base.removeprefix('eca_mm::') for entry in ENTRIES.values()) == ALL_CONFIGS


@pytest.mark.parametrize(('name', 'task', 'backbone', 'attention', 'metrics'), [
    ('eca-resnet50-k3557_4xb64_in1k', 'Classification', 'ResNet-50', 'ECA', {'top1': 77.48}),
    ('eca-ns-resnet50-k3_4xb64_in1k', 'Classification', 'ResNet-50', 'ECA-NS', {'top1': 77.35}),
    ('se-gc2-resnet50_4xb64_in1k', 'Classification', 'ResNet-50', 'SE-GC2', {'top1': 76.98}),
    ('mobilenet-v2_4xb24_in1k', 'Classification', 'MobileNetV2', 'none', {'top1': 71.64}),
    ('eca-resnext50t-32x4d_8xb32_in1k', 'Classification', 'ResNeXt-50t', 'ECA', {}),
    ('retinanet_se-r101_fpn_4xb2-1x_coco', 'Object detection', 'ResNet-101', 'SE', {'box': 38.7}),
    ('cascade-rcnn_eca-r50_fpn_8xb2-1x_coco', 'Object detection', 'ResNet-50', 'ECA', {}),
    ('rtmdet_eca-tiny_8xb32-300e_coco', 'Object detection', 'CSPNeXt-tiny', 'ECA', {}),
    ('eca-resnest50_32xb64_in1k', 'Classification', 'ResNeSt-50', 'ECA', {}),
    ('eca-regnetx-4.0gf_8xb64_in1k', 'Classification', 'RegNetX-4.0gf', 'ECA', {}),
    ('solov2_eca-r50_fpn_8xb2-1x_coco', 'Instance segmentation', 'ResNet-50', 'ECA', {}),
    ('eca-cbam-resnet50_4xb64_in1k', 'Classification', 'ResNet-50', 'ECA, spatial', {}),
    ('se-resnet20_8xb16_cifar10', 'Classification', 'ResNet-20', 'SE', {}),
    ('mask-rcnn_nl-r50_fpn_4xb2-1x_coco', 'Object detection|Instance segmentation', 'ResNet-50',
     'Non-local', {'box': 38.0, 'mask': 34.7})])
def test_entry(name, task, backbone, attention, metrics):
    entry = ENTRIES[name]
    assert (entry.task, entry.backbone, entry.attention, entry.metrics) == (
        task, backbone, attention, metrics)


def test_table_is_readable_without_scripts():
    html = model_zoo_page.render(list(ENTRIES.values()))
    assert len(re.findall('<th scope="row"', html)) == len(ENTRIES)
    assert 'hidden' not in re.search('<table.*?>', html)[0]
    assert 'published by the paper (Table 3), not reproduced here' in html


def test_every_folder_of_the_package_has_a_page_with_all_its_modules():
    folders = api_pages.folders()
    assert {'layers', 'backbones', 'deploy'} <= {*folders} and 'compat' not in folders
    text = api_pages.page('layers')
    for path in (REPOSITORY / 'eca_mm/layers').glob('[a-z]*.py'):
        assert f'automodule:: eca_mm.layers.{path.stem}\n' in text


@pytest.mark.parametrize(('link', 'expected'), [
    ('../configs/README.md', f'{project_urls.REPOSITORY}/blob/main/configs/README.md'),
    ('deployment.md#onnx', 'deployment.md#onnx'),
    ('https://arxiv.org/abs/1910.03151', 'https://arxiv.org/abs/1910.03151')])
def test_links_that_leave_the_docs_lead_to_the_repository(link, expected):
    rewrite = runpy.run_path(str(REPOSITORY / 'docs/conf.py'))['link_to_repository']
    assert rewrite(f'[x]({link})') == f'[x]({expected})'


def test_all_addresses_of_the_project_follow_the_one_in_setup_cfg():
    host, owner, name = project_urls.REPOSITORY.removeprefix('https://').split('/')
    assert host == 'github.com'
    site = f'https://{owner}.github.io/{name}/'
    assert project_urls.PROJECT_URLS['Documentation'] == site
    for label in ('Changelog', 'Issues', 'Source'):
        assert project_urls.PROJECT_URLS[label].startswith(project_urls.REPOSITORY)
    template = (REPOSITORY / '.github/ISSUE_TEMPLATE/config.yml').read_text()
    assert f'url: {site}troubleshooting.html' in template
    # Everything else derives from it.
    found = subprocess.run(['git', 'grep', '-lF', f'{owner}/{name}', '--', '.'], cwd=REPOSITORY,
                           capture_output=True, text=True).stdout.split()
    assert set(found) <= {'setup.cfg'}
