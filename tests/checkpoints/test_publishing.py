"""Published files load everywhere and hold nothing of the training state."""
import hashlib

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.model import BaseModel
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner, load_checkpoint
from safetensors import safe_open
from torch import nn
from torch.utils.data import DataLoader

from eca_mm.backbones import ECAResNet
from eca_mm.checkpoints.publishing import publish, published_weights
from eca_mm.compat import load_checkpoint_file
from eca_mm.utils.errors import UserError
from tests.support.processes import run_tool


class Tiny(BaseModel):
    """The smallest model that mmengine trains."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)

    def forward(self, inputs, mode='tensor'):
        return dict(loss=self.fc(inputs).square().mean())


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A checkpoint of a training with averaged weights, and the weights of that training's end."""
    # A Runner makes its scope the default one for the rest of the process.
    monkeypatch.setattr(DefaultScope, '_instance_dict', DefaultScope._instance_dict.copy())
    model = Tiny()
    Runner(
        model, str(tmp_path / 'work'), DataLoader([dict(inputs=torch.ones(2))] * 3, 1),
        train_cfg=dict(by_epoch=True, max_epochs=1), log_level='ERROR',
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        custom_hooks=[EMAHook(momentum=0.5)], cfg=Config(dict(a=1)), visualizer=None,
        experiment_name=tmp_path.name).train()
    return tmp_path / 'work/epoch_1.pth', model.fc.weight.detach()


def test_weights_are_the_averaged_ones(trained, tmp_path):
    source, last = trained
    checkpoint = load_checkpoint_file(source)
    path = publish(checkpoint, tmp_path / 'tiny.pth')
    published = load_checkpoint_file(path)
    assert set(published) == {'meta', 'state_dict'}
    assert set(published['state_dict']) == {'fc.weight', 'fc.bias'}
    assert published['meta']['weights'] == 'EMA' and 'a = 1' in published['meta']['cfg']
    assert not torch.equal(published['state_dict']['fc.weight'], last)
    assert torch.equal(checkpoint['ema_state_dict']['module.fc.weight'], last)
    assert path.name == f'tiny-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth'
    assert path.stat().st_size < source.stat().st_size


@pytest.mark.parametrize('entry', ['cfg', 'config'])
def test_the_config_of_old_files_is_kept(entry):
    checkpoint = dict(state_dict=dict(w=torch.ones(1)), meta={entry: 'a = 1', 'time': 'now'})
    _, meta = published_weights(checkpoint)
    assert meta['cfg'] == 'a = 1' and meta['weights'] == 'last' and 'time' not in meta


def test_same_weights_have_the_same_name(trained, tmp_path):
    checkpoint = load_checkpoint_file(trained[0])
    path = publish(checkpoint, tmp_path / 'tiny.pth')
    with pytest.raises(UserError, match='--overwrite'):
        publish(checkpoint, tmp_path / 'tiny.pth')
    assert publish(checkpoint, tmp_path / 'tiny.pth', overwrite=True) == path
    checkpoint['state_dict']['fc.weight'] += 1
    assert publish(checkpoint, tmp_path / 'tiny.pth') != path


def test_safetensors_there_and_back_through_every_loader(tmp_path):
    source = ECAResNet(18, kernel_size=(3, 5, 7, 7))
    weights = {f'backbone.{name}': value for name, value in source.state_dict().items()}
    path = publish(dict(state_dict=weights, meta=dict(dataset_meta=dict(classes=('a', 'b')))),
                   tmp_path / 'r18.safetensors')
    with safe_open(path, 'pt') as file:
        assert "('a', 'b')" in file.metadata()['dataset_meta']
    again = publish(load_checkpoint_file(path), tmp_path / 'again.pth')
    loaded = load_checkpoint_file(again)['state_dict']
    assert list(loaded) and all(torch.equal(loaded[name], weights[name]) for name in weights)
    holder = nn.Module()
    holder.backbone = ECAResNet(18, kernel_size=(3, 5, 7, 7))
    load_checkpoint(holder, str(path), strict=True)
    started = MODELS.build(dict(
        type='ECAResNet', depth=18, kernel_size=(3, 5, 7, 7),
        init_cfg=dict(type='Pretrained', checkpoint=str(path), prefix='backbone.')))
    started.init_weights()
    for model in (holder.backbone, started):
        assert all(torch.equal(value, source.state_dict()[name])
                   for name, value in model.state_dict().items())


def test_command_line(trained, tmp_path):
    source = trained[0]
    before = source.read_bytes()
    shown = run_tool(tmp_path, 'model_converters/publish.py', source, 'tiny.pth', '--dry-run')
    assert shown.returncode == 0, shown.stderr
    assert '2 weights (EMA)' in shown.stdout and 'optimizer' in shown.stdout
    assert not list(tmp_path.glob('tiny-*'))
    result = run_tool(tmp_path, 'model_converters/publish.py', source, 'tiny.safetensors')
    assert result.returncode == 0, result.stderr
    path, = tmp_path.glob('tiny-*.safetensors')
    assert path.name in result.stdout
    assert source.read_bytes() == before
    wrong = run_tool(tmp_path, 'model_converters/publish.py', source, 'tiny.ckpt')
    assert wrong.returncode == 1 and 'neither in .pth nor' in wrong.stderr
