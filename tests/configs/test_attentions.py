"""The table of attentions: the costs in it are right, and its lines train detectors."""
import re

import pytest
from mmengine.config import ConfigDict

from eca_mm.analysis import build_model, count_parameters
from eca_mm.analysis.paper_counting import PLAIN, count_operations, total
from eca_mm.analysis.uninitialised import WithoutInitialisation
from eca_mm.backbones.attention_block import AttentionBlock
from eca_mm.layers import eca_kernel_size
from tests.support.catalog import load
from tests.support.processes import ROOT, run_tool
from tests.support.real_coco import iterations, options

SECTION = (ROOT / 'docs/attentions.md').read_text().partition('\n## ')[0]
# Name, formula, parameters, multiply-adds and plugin of every row.
ROWS = re.findall(r'^\| (.+?) \| `(.+?)` \| ([\d,]+) \| ([\d.]+) M \| `(.+)` \|$', SECTION, re.M)
AA = re.search(r'`conv2_cfg=(.+)`', SECTION)[1]
EVERYWHERE = (True, ) * 4


def cost(**changes) -> tuple[int, int]:
    """Parameters and multiply-adds of a ResNet-50 of mmdet's as a classifier."""
    config = load('resnet/resnet50_4xb64_in1k.py')
    config.model.backbone = ConfigDict(
        type='mmdet.ResNet', depth=50, out_indices=(3, ), **changes)
    with WithoutInitialisation():
        model = build_model(config)
    return count_parameters(model)[0], total(count_operations(model, (224, 224)), PLAIN)


@pytest.fixture(scope='module')
def plain() -> tuple[int, int]:
    return cost()


def as_attention(plugin: dict) -> list[dict | None]:
    """The same attention as the argument of our backbones."""
    return [plugin['cfg'] if stage else None for stage in plugin.get('stages', EVERYWHERE)]


def test_every_layer_has_a_row():
    types = set(re.findall(r"type='(\w+)'", SECTION))
    names = {path.stem for path in (ROOT / 'eca_mm/layers').glob('*.py')}
    registered = set()
    for name in names:
        text = (ROOT / f'eca_mm/layers/{name}.py').read_text()
        registered |= set(re.findall(r'@MODELS.register_module\(\)\nclass (\w+)', text))
    assert types == registered


def test_cost_of_plain_resnet50(plain):
    assert f'{plain[0]:,} parameters, {plain[1] / 1e9:.3f} G multiply-adds' in ' '.join(
        SECTION.split())


@pytest.mark.parametrize('name, formula, params, flops, line', ROWS, ids=[r[0] for r in ROWS])
def test_cost(name, formula, params, flops, line, plain):
    plugin = eval(line)
    with_plugin = cost(plugins=[plugin])
    assert f'{with_plugin[0] - plain[0]:,}' == params
    assert f'{(with_plugin[1] - plain[1]) / 1e6:.1f}' == flops
    config = load('resnet/resnet50_4xb64_in1k.py')
    config.model.backbone = ConfigDict(
        type='AttentionResNet', depth=50, attention=as_attention(plugin))
    with WithoutInitialisation():
        backbone = build_model(config).backbone
    blocks = [block for block in backbone.modules()
              if isinstance(block, AttentionBlock) and block.attention_name]
    for block in blocks:
        channels = block.out_channels
        expected = eval(formula, {}, dict(C=channels, r=16, k=eca_kernel_size(channels)))
        assert count_parameters(getattr(block, block.attention_name))[0] == expected
    assert sum(count_parameters(getattr(b, b.attention_name))[0] for b in blocks) == int(
        params.replace(',', ''))


def train_and_evaluate(folder, root, backbone: str) -> None:
    """Train a Faster R-CNN for two iterations on small images and evaluate it."""
    base = 'faster_rcnn/faster-rcnn_r50_fpn_4xb2-1x_coco.py'
    (folder / 'c.py').write_text(
        f"_base_ = '{ROOT}/configs/{base}'\nmodel = dict(backbone=dict({backbone}))\n")
    sizes = [f'{split}_dataloader.dataset.pipeline.{i}.scale=(320,200)'
             for split, i in (('train', 2), ('val', 1), ('test', 1))]
    done = run_tool(folder, 'train.py', 'c.py', '--work-dir', 'work', '--cfg-options',
                    *options(base, root, folder), *iterations(2), *sizes)
    assert done.returncode == 0, done.stderr
    assert (folder / 'work/iter_2.pth').is_file()
    assert 'Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all' in done.stdout


OURS = ("_delete_=True, type='AttentionResNet', depth=50, out_indices=(0, 1, 2, 3), "
        "frozen_stages=1, norm_cfg=dict(type='BN', requires_grad=True), norm_eval=True, ")


@pytest.mark.slow
@pytest.mark.parametrize('line', [row[-1] for row in ROWS], ids=[row[0] for row in ROWS])
class TestFasterRCNN:

    def test_plugin(self, line, coco_root, tmp_path):
        train_and_evaluate(tmp_path, coco_root, f'init_cfg=None, plugins=[{line}]')

    def test_backbone(self, line, coco_root, tmp_path):
        train_and_evaluate(tmp_path, coco_root, f'{OURS}attention={as_attention(eval(line))}')


@pytest.mark.slow
def test_faster_rcnn_with_augmented_convolutions(coco_root, tmp_path):
    train_and_evaluate(tmp_path, coco_root, f'{OURS}conv2_cfg={AA}')
