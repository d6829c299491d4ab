"""The page on one's own data, every command and snippet of it, on a small data set."""
import json
import re
import runpy
import shlex
import shutil
from pathlib import Path

import pytest
import torch
import torchvision

from eca_mm.__main__ import CONVERTERS, FOLDER, find_tool
from tests.conftest import REPOSITORY
from tests.support.processes import run_tool

pytestmark = pytest.mark.slow
PAGE = (REPOSITORY / 'docs/getting_started.md').read_text()
BASE = "_base_ = 'eca_mm::faster_rcnn/faster-rcnn_eca-r50_fpn_4xb2-1x_coco.py'\n"
# Small images, narrow heads and two epochs between that config and the page's.
SMALL = BASE + """
load = dict(type='LoadImageFromFile')
boxes = dict(type='LoadAnnotations', with_bbox=True)
resize = dict(type='Resize', scale=(64, 64), keep_ratio=True)
train_dataloader = dict(num_workers=0, dataset=dict(pipeline=[
    dict(type='SeedSample'), load, boxes, resize, dict(type='RandomFlip', prob=.5),
    dict(type='PackDetInputs')]))
val_dataloader = dict(num_workers=0, dataset=dict(pipeline=[
    load, resize, boxes, dict(type='PackDetInputs', meta_keys=(
        'img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]))
test_dataloader = val_dataloader
model = dict(
    neck=dict(out_channels=32), rpn_head=dict(in_channels=32, feat_channels=32),
    roi_head=dict(bbox_roi_extractor=dict(out_channels=32),
                  bbox_head=dict(in_channels=32, fc_out_channels=64)),
    train_cfg=dict(rpn_proposal=dict(nms_pre=100, max_per_img=20)),
    test_cfg=dict(rpn=dict(nms_pre=100, max_per_img=20), rcnn=dict(score_thr=0.0)))
train_cfg = dict(max_epochs=2)
param_scheduler = []
default_hooks = dict(logger=dict(interval=1))
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf'^```{language}\n(.*?)^```', PAGE, re.M | re.S)


def run(folder: Path, line: str, *more: str):
    """Run ``python -m eca_mm TOOL ...`` of the page."""
    program, module, package, name, *arguments = shlex.split(line.replace('epoch_12', 'epoch_2'))
    assert (program, module, package) == ('python', '-m', 'eca_mm')
    if name == 'convert':
        name, *arguments = CONVERTERS[arguments[0]], *arguments[1:]
    tool = find_tool(name)
    assert tool is not None, name
    done = run_tool(folder, str(tool.relative_to(FOLDER)), *arguments, *more)
    assert done.returncode == 0, f'{line}\n{done.stdout[-2000:]}\n{done.stderr}'
    return done.stdout


def write_voc(coco: Path, voc: Path) -> None:
    """The same data as XML files."""
    for name in ('JPEGImages', 'Annotations', 'ImageSets/Main'):
        (voc / name).mkdir(parents=True)
    for split in ('train', 'val'):
        content = json.loads((coco / f'annotations/instances_{split}.json').read_text())
        names = {category['id']: category['name'] for category in content['categories']}
        stems = []
        for image in content['images']:
            stems.append(f'{split}_{image["id"]}')
            shutil.copy(coco / split / image['file_name'], voc / f'JPEGImages/{stems[-1]}.jpg')
            objects = ''.join(
                '<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax>'
                '<ymax>{}</ymax></bndbox></object>'.format(
                    names[ann['category_id']], x + 1, y + 1, x + width + 1, y + height + 1)
                for ann in content['annotations'] if ann['image_id'] == image['id']
                for x, y, width, height in [ann['bbox']])
            (voc / f'Annotations/{stems[-1]}.xml').write_text(
                f'<annotation><size><width>{image["width"]}</width><height>{image["height"]}'
                f'</height></size>{objects}</annotation>')
        (voc / f'ImageSets/Main/{split}.txt').write_text('\n'.join(stems) + '\n')


def test_from_annotations_to_onnx_runtime(tmp_path, monkeypatch, capfd):
    (tmp_path / 'small.py').write_text(SMALL)
    detector, voc = blocks('python')
    for name, text in (('detector.py', detector), ('voc.py', voc)):
        assert text.startswith(BASE)
        (tmp_path / name).write_text(text.replace(BASE, "_base_ = './small.py'\n"))
    lines = [line for block in blocks('bash') for line in block.strip().splitlines()]
    draw, download, convert, check, train, resume, test, compare, demo, export = lines

    run(tmp_path, draw, '--num-train', '6', '--num-val', '10', '--size', '64')
    assert 'torchvision.models.resnet50' in download
    torch.save(torchvision.models.resnet50().state_dict(), tmp_path / 'resnet50.pth')
    run(tmp_path, convert)
    assert ' 0 errors' in run(tmp_path, check)
    log = run(tmp_path, train)
    # Frozen, but for the attention.
    assert 'attention' in log and 'coco/bbox_mAP:' in log
    assert 'Epoch(train)' not in run(tmp_path, resume)
    run(tmp_path, test)
    assert len(list((tmp_path / 'pictures').rglob('*.jpg'))) == 10
    run(tmp_path, compare)
    run(tmp_path, demo)
    assert (tmp_path / 'run.png').is_file() and len(list((tmp_path / 'new/vis').iterdir())) == 10
    assert len(json.loads((tmp_path / 'new.json').read_text())) == 10
    run(tmp_path, export)
    (tmp_path / 'onnx_runtime.py').write_text(*blocks('py'))
    monkeypatch.chdir(tmp_path)
    runpy.run_path('onnx_runtime.py')
    printed = capfd.readouterr().out
    assert "['circle', 'square', 'triangle']" in printed and '(1, 32, 16, 16)' in printed

    write_voc(tmp_path / 'data/mine', tmp_path / 'data/voc/VOC2007')
    assert ' 0 errors' in run(tmp_path, check.replace('detector.py', 'voc.py'))
    log = run(tmp_path, 'python -m eca_mm train voc.py --cfg-options train_cfg.max_epochs=1')
    assert 'pascal_voc/mAP:' in log
