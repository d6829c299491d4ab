"""A checkpoint that carries code is refused wherever one is read, and the code does not run."""
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from mmdet.apis import DetInferencer, init_detector
from mmpretrain.apis import ImageClassificationInferencer, get_model

from eca_mm.utils.errors import UserError
from tests.support import samples
from tests.support.processes import fails, run_tool


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker, )


@pytest.fixture
def folder(tmp_path):
    """A working directory with configs, an image and bad.pth, whose code makes ``marker``."""
    samples.draw_classes(tmp_path / 'classes')
    samples.draw_coco(tmp_path / 'coco')
    samples.write_config(tmp_path / 'cls.py', samples.CLASSIFICATION, tmp_path / 'classes')
    samples.write_config(tmp_path / 'det.py', samples.DETECTION, tmp_path / 'coco')
    payload = Payload(tmp_path / 'marker')
    torch.save({'state_dict': {'conv1.weight': torch.ones(1)}, 'meta': payload},
               tmp_path / 'bad.pth')
    torch.save({'state_dict': payload}, tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    yield tmp_path
    assert not (tmp_path / 'marker').exists()


def test_the_payload_is_real(tmp_path):
    torch.save(Payload(tmp_path / 'marker'), tmp_path / 'bad.pth')
    torch.load(tmp_path / 'bad.pth', weights_only=False)
    assert (tmp_path / 'marker').is_dir()


COMMANDS = {
    'start from': ('train.py', 'cls.py', '--cfg-options', 'load_from={bad}'),
    'resume': ('train.py', 'det.py', '--resume', '{bad}'),
    'resume automatically': ('train.py', 'cls.py', '--resume', '--work-dir', 'planted'),
    'pretrained': ('train.py', 'cls.py', '--cfg-options',
                   "model.backbone.init_cfg.type='Pretrained'",
                   'model.backbone.init_cfg.checkpoint={bad}'),
    'test a classifier': ('test.py', 'cls.py', '{bad}'),
    'test a detector': ('test.py', 'det.py', '{bad}'),
    'demo of a classifier': ('demo.py', 'classes/red/0.png', 'cls.py', '{bad}', '--out-dir', 'o'),
    'demo of a detector': ('demo.py', 'coco/images/001.jpg', 'det.py', '{bad}', '--out-dir', 'o'),
    **{f'{source} converter': (f'model_converters/{source}_to_eca_mm.py', '{bad}', 'out.pth')
       for source in ('ecanet', 'timm', 'torchvision')},
    'export': ('deployment/export_onnx.py', 'cls.py', '{bad}', 'out.onnx'),
    'publish': ('model_converters/publish.py', '{bad}', 'out.pth'),
}


def command(folder, name, bad):
    """The command line that reads a checkpoint in one of these ways."""
    if name == 'resume automatically':
        (folder / 'planted').mkdir(exist_ok=True)
        (folder / 'planted/epoch_1.pth').write_bytes((folder / bad).read_bytes())
        (folder / 'planted/last_checkpoint').write_text('planted/epoch_1.pth')
    return [part.format(bad=bad) for part in COMMANDS[name]]


@pytest.mark.parametrize('bad', ['bad.pth', 'old.pth'])
@pytest.mark.parametrize('name', [
    name if name == 'resume' else pytest.param(name, marks=pytest.mark.slow) for name in COMMANDS])
def test_tools(folder, name, bad):
    result = run_tool(folder, *command(folder, name, bad))
    read = 'planted/epoch_1.pth' if name == 'resume automatically' else bad
    fails(result, read, 'mkdir', 'can run code')
    assert not (folder / 'out.pth').exists()


@pytest.mark.parametrize('bad', ['bad.pth', 'old.pth'])
def test_inferencers(folder, bad):
    path = str(folder / bad)
    for read in (lambda: DetInferencer(str(folder / 'det.py'), path, device='cpu'),
                 lambda: init_detector(str(folder / 'det.py'), path, device='cpu'),
                 lambda: ImageClassificationInferencer(str(folder / 'cls.py'), path, device='cpu'),
                 lambda: get_model(str(folder / 'cls.py'), path)):
        with pytest.raises(UserError, match='can run code'):
            read()


@pytest.mark.slow
def test_stock_tools(folder):
    """MMDetection's own train.py with a config of ours, which imports eca_mm."""
    tool = Path(find_spec('mmdet').origin).parent / '.mim/tools/train.py'
    for options in (['--resume', str(folder / 'bad.pth')],
                    ['--cfg-options', f'load_from={folder}/bad.pth']):
        result = subprocess.run([sys.executable, tool, 'det.py', *options], cwd=folder,
                                capture_output=True, text=True)
        assert result.returncode and 'can run code' in result.stderr, result.stderr[-2000:]
