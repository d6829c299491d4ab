"""The config in a checkpoint is read as values, never run."""
import pytest
import torch
from mmdet.apis import DetInferencer
from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from eca_mm.checkpoints.publishing import published_weights
from eca_mm.compat.checkpoint_loading import config_from_checkpoint
from eca_mm.compat.data_configs import config_from_text
from eca_mm.utils.errors import UserError
from tests.support import samples

SOUND = """'''A comment.'''
lr = -0.1
limits = (1e3, None, True, inf, [], {}, set(), {1, 2}, dict(), {'a b': 'c'}, b'x')
model = dict(type='FasterRCNN', backbone=dict(type='mmdet.ResNet', depth=50))
hooks = [dict(type='mmengine.hooks.EMAHook')]
optimizer = dict(type='torch.optim.sgd.SGD', lr=0.1)
default_scope = 'mmdet'
custom_imports = dict(imports=['eca_mm'], allow_failed_imports=False)
"""


def test_text_that_mmengine_would_run_is_left_out_when_it_loads(tmp_path):
    torch.save({'meta': {'config': 'import os', 'epoch': 1}}, tmp_path / 'a.pth')
    assert CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth')) == {'meta': {'epoch': 1}}


@pytest.mark.parametrize('content', [{}, {'meta': 3}, {'meta': {'cfg': {'a': 1}}}])
def test_checkpoints_without_a_text(content):
    with pytest.raises(UserError, match='^a.pth holds no config'):
        config_from_checkpoint(content, 'a.pth')


def test_what_mmengine_writes_is_read_as_mmengine_reads_it():
    names = {'inf': float('inf')}
    exec(SOUND, names)
    found = config_from_text(SOUND, 'x')
    assert list(found) == ['lr', 'limits', 'model', 'hooks', 'optimizer', 'default_scope',
                           'custom_imports']
    assert found == {name: names[name] for name in found}


def test_our_own_configs_are_read_after_mmengine_has_written_them(tmp_path):
    for text in (samples.DETECTION, samples.CLASSIFICATION):
        config = Config.fromfile(samples.write_config(tmp_path / 'a.py', text, tmp_path))
        assert config_from_text(config.pretty_text, 'x') == config.to_dict()


@pytest.mark.parametrize('text', [
    "__import__('os').mkdir('{marker}')", "import os\nos.mkdir('{marker}')",
    "x = __import__('os').mkdir('{marker}')", "x = [__import__('os').mkdir('{marker}')]",
    "x = {{__import__('os').mkdir('{marker}'): 1}}",
    "x = f\"{{__import__('os').mkdir('{marker}')}}\"",
    "x = dict(a=__import__('os').mkdir('{marker}'))", "x = lambda: 1", "x = [i for i in (1, 2)]",
    "def f(): pass", "class A: pass", "x: int = 1", "x = y = 1", "x, y = 1, 2",
    "x += 1", "x.a = 1",
    "x = 10 ** 10 ** 10", "x = 'a' * 10 ** 10", "x = dict(1)", "x = dict(**a)", "x = set([1])",
    "x = a", "x = a.b", "x = ...", "x = -'a'",
    "with open('{marker}', 'w'): pass",
    "x = 1 if 2 else 3",
    "x = '{{$ENV:HOME}}' + 'a'",
    "from os import *",
    "x = (y := 1)", "x = await y", "del x", "x = ",
    "x = " + '[' * 5000 + ']' * 5000, "x = " + '-' * 5000 + '1', "x = " + '[' * 80 + ']' * 80,
    "x = '\ud800'", "x = 1\x00",
])
def test_code_is_refused_by_its_line(text, tmp_path):
    marker = tmp_path / 'marker'
    with pytest.raises(UserError, match='The config in a.pth') as caught:
        config_from_text(text.replace('{marker}', str(marker)).replace('{{', '{').replace(
            '}}', '}'), 'The config in a.pth')
    assert not marker.exists()
    assert '\n' not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize('text, found', [
    ("model = dict(type='subprocess.Popen', args=['touch', 'x'])", 'subprocess.Popen'),
    ("model = dict(type='os.system', command='x')", 'os.system'),
    ("model = dict(type='antigravity')", 'antigravity'),
    ("model = dict(type='evil.Model')", 'evil.Model'),
    ("model = dict(type='torch.hub.load')", 'torch.hub.load'),
    ("model = dict(type='mmengine.fileio.load')", 'mmengine.fileio.load'),
    ("model = dict(type='mmdet.utils.misc.os.system')", 'mmdet.utils.misc.os.system'),
    ("hooks = [dict(a=(dict(type='pickle.load'),))]", 'hooks.0.a.0.type'),
    ("_scope_ = 'evil'", 'evil'), ("default_scope = 'evil'", 'evil'),
    ("custom_imports = dict(imports=['evil'])", 'custom_imports'),
    ("custom_imports = dict(imports='evil')", 'custom_imports'),
    ("custom_imports = 'evil'", 'custom_imports'),
])
def test_values_that_reach_python_objects_are_refused(text, found):
    with pytest.raises(UserError, match='was refused because') as caught:
        config_from_text(text, 'x')
    assert found in str(caught.value)


@pytest.mark.parametrize('place', ['message_hub', 'meta'])
def test_inferencers_do_not_run_the_config_of_their_weights(place, tmp_path):
    marker, path = tmp_path / 'marker', str(tmp_path / 'a.pth')

    def write(text):
        saved = {'meta': {'dataset_meta': {'classes': ('a', )}}, 'state_dict': {}}
        if place == 'meta':
            saved['meta'].update(cfg=text, config=text)
        else:
            saved['message_hub'] = {'runtime_info': {'cfg': text}}
        torch.save(saved, path)

    for text in (f"import os\nos.mkdir({str(marker)!r})\nmodel = 1",
                 f"model = dict(type='subprocess.Popen', args=['mkdir', {str(marker)!r}])"):
        write(text)
        with pytest.raises(UserError, match='config in .*a.pth was refused'):
            DetInferencer(weights=path, device='cpu')
        assert not marker.exists()
    torch.save({'state_dict': {}}, path)
    with pytest.raises(UserError, match='holds no config'):
        DetInferencer(weights=path, device='cpu')


def test_inferencers_build_from_the_values_in_weights(tmp_path):
    from eca_mm.analysis import build_model
    config = Config.fromfile(samples.write_config(tmp_path / 'a.py', samples.DETECTION, tmp_path))
    torch.save({'state_dict': build_model(config).state_dict(),
                'meta': {'dataset_meta': {'classes': samples.CLASSES}},
                'message_hub': {'runtime_info': {'cfg': config.pretty_text}}}, tmp_path / 'a.pth')
    inferencer = DetInferencer(weights=str(tmp_path / 'a.pth'), device='cpu')
    assert inferencer.cfg.model == config.model


def test_publishing_does_not_make_a_config_that_runs():
    _, meta = published_weights({'state_dict': {'w': torch.ones(1)}, 'meta': {
        'cfg': "a = 1", 'config': "b = 2"}})
    assert 'config' not in meta and meta['cfg'] == 'a = 1'
