"""What a config loses without our runner, loops, hooks and samplers."""
import copy

import pytest
from mmengine.config import Config

from eca_mm.config_check import runtime
from tests.support.catalog import ROOT, load
from tests.support.config_checks import changed, run

CLASSIFIER = 'eca_resnet/eca-resnet18_4xb64_in1k.py'
DETECTOR = 'retinanet/retinanet_eca-r50_fpn_4xb2-1x_coco.py'


def child(tmp_path, text, base=CLASSIFIER):
    (tmp_path / 'child.py').write_text(f"_base_ = '{ROOT}/configs/{base}'\n{text}")
    return Config.fromfile(str(tmp_path / 'child.py'))


@pytest.mark.parametrize('name', [CLASSIFIER, DETECTOR])
def test_nothing_is_lost_by_our_own_parts(name):
    assert run(runtime, load(name)) == []


@pytest.mark.parametrize(('text', 'where', 'expected', 'lost'), [
    ("runner_type = 'Runner'", 'runner_type', 'CheckedRunner', 'weights that do not fit'),
    ("runner_type = None", 'runner_type', 'CheckedRunner', "under other packages' tools"),
    ("default_hooks = dict(checkpoint=dict(type='CheckpointHook'))",
     'default_hooks.checkpoint.type', 'SafeCheckpointHook', 'full disk'),
    ("custom_hooks = [dict(type='EMAHook'), dict(type='KeepWorkDirHook')]", 'custom_hooks',
     'StopOnInvalidLossHook', 'NaN'),
    ("custom_hooks = [dict(type='eca_mm.StopOnInvalidLossHook')]", 'custom_hooks',
     'KeepWorkDirHook', 'work directory'),
    ('train_cfg = dict(_delete_=True, by_epoch=True, max_epochs=1)', 'train_cfg.type',
     'RepeatableEpochLoop', 'resumed'),
    ("train_cfg = dict(_delete_=True, type='mmengine.IterBasedTrainLoop', max_iters=1)",
     'train_cfg.type', 'RepeatableIterLoop', 'resumed'),
    ('train_dataloader = dict(batch_sampler=None)', 'train_dataloader.batch_sampler',
     'SeededBatchSampler', 'resumed'),
    ("train_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadImageFromFile')]))",
     'train_dataloader.dataset.pipeline', 'SeedSample', 'resumed'),
])
def test_each_part_and_what_it_is_for(tmp_path, text, where, expected, lost):
    finding, = run(runtime, child(tmp_path, text))
    assert (finding.level, finding.check, finding.where) == ('warning', 'runtime', where)
    assert expected in finding.expected and lost in finding.message


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of the user's own that custom_imports can name."""
    (tmp_path / 'mine.py').touch()
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize(('imports', 'base'), [
    ("['mine']", CLASSIFIER), ("['mine']", DETECTOR), ("'mine'", CLASSIFIER), ('[]', CLASSIFIER)])
def test_custom_imports_that_lose_ours(package, tmp_path, imports, base):
    finding, = run(runtime, child(tmp_path, f'custom_imports = dict(imports={imports})', base))
    assert (finding.level, finding.where) == ('warning', 'custom_imports.imports')
    assert 'eca_mm' in finding.message and "'eca_mm'" in finding.expected
    assert ('mine' in finding.expected) == ('mine' in imports)


@pytest.mark.parametrize('imports', ["['mine', 'eca_mm']", "'eca_mm'", "['eca_mm.layers']"])
def test_custom_imports_that_repeat_ours(package, tmp_path, imports):
    assert run(runtime, child(tmp_path, f'custom_imports = dict(imports={imports})')) == []


def test_parts_of_the_users_own_are_meant(tmp_path):
    assert run(runtime, child(tmp_path, """
runner_type = 'MyRunner'
default_hooks = dict(checkpoint=dict(type='MyCheckpoints'))
train_cfg = dict(_delete_=True, type='MyLoop')""")) == []


def test_a_stock_config_gets_one_warning(tmp_path):
    for stock in ('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
                  'mmpretrain::resnet/resnet18_8xb32_in1k.py'):
        (tmp_path / 'stock.py').write_text(f"_base_ = '{stock}'")
        config = Config.fromfile(str(tmp_path / 'stock.py'))
        finding, = run(runtime, config)
        assert (finding.level, finding.where) == ('warning', 'runner_type')
        assert 'none of' in finding.message and 'default_runtime' in finding.expected
        # As soon as one of ours is there, the others are named one by one.
        assert len(run(runtime, changed(config, {'runner_type': 'CheckedRunner'}))) > 4


def test_a_config_without_training_loses_nothing():
    config = copy.deepcopy(load(CLASSIFIER))
    for key in ('train_dataloader', 'train_cfg', 'runner_type', 'custom_hooks'):
        config.pop(key)
    assert run(runtime, config) == []
