"""The example in every tool's --help runs as it is printed, in a folder with what it names."""
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch
import torchvision
from mmdet.datasets import CocoDataset
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from eca_mm.analysis import build_model
from tests.support.ecanet_files import RESNETS, resnet
from tests.support.logs import write_start
from tests.support.onnx_models import small_classifier
from tests.support.processes import ROOT, run_tool

TOOLS = sorted(path.relative_to(ROOT / 'tools').as_posix()
               for path in (ROOT / 'tools').rglob('*.py'))
# torchrun's own help, which has no example.
TOOLS.remove('launch.py')
# What has to be done before, by the example of another tool.
FIRST = {'train.py': 'dataset_tools/make_shapes_coco.py'}
# Foreign weights, by file name.
FOREIGN = {
    'eca_resnet50_k3557.pth.tar': lambda: {'state_dict': resnet(50, RESNETS[50][2])},
    'ecaresnet50d.pth': lambda: timm.create_model('ecaresnet50d').state_dict(),
    'mobilenet_v2.pth': lambda: torchvision.models.mobilenet_v2().state_dict(),
    'resnet50.pth': lambda: torchvision.models.resnet50().state_dict(),
}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder like a checkout, with a little data where the configs look for theirs."""
    folder = tmp_path_factory.mktemp('checkout')
    for name in ('tools', 'configs', 'model-index.yml'):
        (folder / name).symlink_to(ROOT / name)
    # Some tools write pages here.
    shutil.copytree(ROOT / 'docs', folder / 'docs')
    draw(folder / 'street.jpg')
    for split in ('train', 'val'):
        draw_coco(folder / 'data/coco', f'{split}2017')
        for label in range(1000):
            image = folder / 'data/imagenet' / split / f'n{label:08d}' / 'image.JPEG'
            image.parent.mkdir(parents=True)
            os.link(folder / 'street.jpg', image)
    return folder


def draw(path: Path, height: int = 120, width: int = 160) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), picture)


def draw_coco(root: Path, split: str, images: int = 2) -> None:
    names = CocoDataset.METAINFO['classes']
    content = dict(images=[], annotations=[], categories=[
        dict(id=index, name=name) for index, name in enumerate(names, 1)])
    for ident in range(1, images + 1):
        draw(root / split / f'{ident}.jpg')
        content['images'].append(
            dict(id=ident, file_name=f'{ident}.jpg', height=120, width=160))
        content['annotations'].append(dict(
            id=ident, image_id=ident, category_id=ident, iscrowd=0, bbox=[20, 30, 60, 50],
            area=3000, segmentation=[[20, 30, 80, 30, 80, 80, 20, 80]]))
    path = root / f'annotations/instances_{split}.json'
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


def examples(tool: str, folder: Path) -> list[str]:
    """The commands that a tool's help shows, each in one line of it."""
    result = run_tool(folder, tool, '--help')
    assert result.returncode == 0, result.stderr
    return re.findall(r'^example: (.+)$', result.stdout, re.M)


def provide(command: str, folder: Path) -> None:
    """Put the files there that a command names and nothing makes: weights and pictures."""
    words = shlex.split(command)[2:]
    config = None
    for index, word in enumerate(words):
        path = folder / word
        is_output = index > 0 and words[index - 1] in ('--out', '--json', '--out-dir')
        if word.endswith('.py') and path.is_file():
            config = Config.fromfile(path)
            provide_backbone(config, folder)
        elif is_output:
            continue
        elif word.startswith('work_dirs/') and not path.suffix:
            # Another example may have put a checkpoint there, which is not a training run.
            if not any(path.glob('*/vis_data/scalars.json')):
                write_start(path, 1, run_config(path.name), [
                    dict(lr=.1, loss=1., step=10),
                    {'accuracy/top1': 70., 'coco/bbox_mAP': .3, 'step': 1}])
        elif path.exists():
            continue
        elif path.name in FOREIGN:
            torch.save(FOREIGN[path.name](), path)
        elif re.fullmatch(r'(epoch|iter)_\d+\.pth', path.name):
            model = config or Config.fromfile(
                ROOT / 'configs/eca_resnet/eca-resnet18-k3577_4xb64_in1k.py')
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(dict(meta={}, state_dict=build_model(model).state_dict()), path)
        elif path.suffix in ('.jpg', '.png'):
            draw(path)
        elif path.name == 'classifier.onnx':
            small_classifier(path, classes=1000)


def run_config(name: str) -> dict:
    """Config of a run whose folder is called ``k3``, ``adaptive``, ``se`` ..."""
    backbone = dict(type='ECAResNet', depth=50)
    if re.fullmatch(r'k\d', name):
        backbone['kernel_size'] = int(name[1])
    elif name == 'se':
        backbone.update(type='AttentionResNet', attention=dict(type='SELayer'))
    return dict(default_scope='mmpretrain', model=dict(type='ImageClassifier', backbone=backbone))


def provide_backbone(config: Config, folder: Path) -> None:
    backbone = config.get('model', {}).get('backbone', {})
    weights = (backbone.get('init_cfg') or {})
    path = str(weights.get('checkpoint', '://')) if isinstance(weights, dict) else '://'
    if '://' not in path and not (folder / path).exists():
        with DefaultScope.overwrite_default_scope(config.default_scope):
            module = MODELS.build({**backbone, 'init_cfg': None})
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        torch.save({f'{weights["prefix"]}{name}': value
                    for name, value in module.state_dict().items()}, folder / path)


@pytest.fixture(scope='module')
def finished():
    """Tools whose examples have been run in the folder."""
    return set()


def run_examples(tool: str, folder: Path, finished: set) -> None:
    if tool in finished:
        return
    if tool in FIRST:
        run_examples(FIRST[tool], folder, finished)
    commands = examples(tool, folder)
    assert commands, f'{tool} --help has no example on its own line'
    for command in commands:
        assert command.startswith(f'python tools/{tool}')
        provide(command, folder)
        done = subprocess.run(['bash', '-c', command], cwd=folder, capture_output=True, text=True,
                              env={**os.environ, 'PYTHONPATH': str(ROOT)})
        assert done.returncode == 0, f'$ {command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}'
        assert 'Traceback' not in done.stderr
    finished.add(tool)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize('tool', TOOLS)
def test_example_runs_as_printed(tool, folder, finished):
    run_examples(tool, folder, finished)
