"""Variables of a config that were meant to change a setting."""
import logging

import pytest
from mmengine.config import Config
from mmengine.hub import get_config

from eca_mm.config_check import keys
from eca_mm.engine.config import check_keys, load_config
from eca_mm.engine.old_settings import old_settings
from eca_mm.engine.variables import unused_variables, warn_of_unused
from eca_mm.utils.errors import UserError
from tests.support.config_checks import run

BASE = """
max_epochs = 12
data_root = 'data/coco/'
train_pipeline = [dict(type='LoadImageFromFile'), dict(type='PackDetInputs')]
model = dict(type='RetinaNet')
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs)
train_dataloader = dict(batch_size=2, num_workers=2, dataset=dict(
    type='CocoDataset', data_root=data_root, ann_file='a.json', pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.02))
env_cfg = dict(cudnn_benchmark=False)
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='Visualizer', vis_backends=vis_backends)
"""


@pytest.fixture
def child(tmp_path):
    def write(text):
        (tmp_path / 'base.py').write_text(BASE)
        (tmp_path / 'child.py').write_text(f"_base_ = './base.py'\n{text}\n")
        return Config.fromfile(str(tmp_path / 'child.py'))
    return write


@pytest.mark.parametrize(('text', 'where', 'value'), [
    ('max_epochs = 50', 'train_cfg.max_epochs', '12'),
    ('batch_size = 8', 'train_dataloader.batch_size', '2'),
    ('lr = 0.5', 'optim_wrapper.optimizer.lr', '0.02'),
    ("data_root = '/mnt/cells/'", 'train_dataloader.dataset.data_root', "'data/coco/'"),
    ("train_pipeline = [dict(type='LoadImageFromNDArray')]", 'train_dataloader.dataset.pipeline',
     ''),
    ("metainfo = dict(classes=('cat', ))", 'train_dataloader.dataset.metainfo', ''),
    ("classes = ('cat', )", 'train_dataloader.dataset.metainfo', ''),
    ("vis_backends = [dict(type='TensorboardVisBackend')]", 'visualizer.vis_backends', ''),
    ('cudnn_benchmark = True', 'env_cfg.cudnn_benchmark', 'False')])
def test_a_variable_set_too_late(child, caplog, text, where, value):
    config = child(text)
    name = text.partition(' ')[0]
    assert list(unused_variables(config)) == [(name, where, value)]
    finding, = (f for f in run(keys, config) if f.level == 'warning')
    assert finding.where == name and where in finding.message
    with caplog.at_level(logging.WARNING):
        warn_of_unused(config, logging.getLogger('run'))
    assert where in caplog.text and value in caplog.text


@pytest.mark.parametrize('text', [
    '', 'max_epochs = 24\ntrain_cfg = dict(max_epochs=max_epochs)',
    # Left as the base has it.
    'train_cfg = dict(max_epochs=36)', "train_dataloader = dict(dataset=dict(data_root='x/'))",
    'lr = 0.1\noptim_wrapper = dict(optimizer=dict(lr=lr * 2 / 16))',
    "data_root = 'a/'\ntrain_dataloader = dict(dataset=dict(data_root=data_root + 'b/'))",
    'lr_of_mine = 3', 'num_classes = 3', 'vis_backends = [dict(type="LocalVisBackend")]',
    "classes = ('a', )\ntrain_dataloader = dict(dataset=dict(metainfo=dict(classes=classes)))"])
def test_variables_that_are_used_or_inherited(child, text):
    assert list(unused_variables(child(text))) == []


def test_a_config_that_was_written_out(child, tmp_path):
    config = child("train_dataloader = dict(dataset=dict(data_root='x/'))")
    config.dump(str(tmp_path / 'dump.py'))
    assert list(unused_variables(Config.fromfile(str(tmp_path / 'dump.py')))) == []


@pytest.mark.parametrize(('settings', 'where', 'place'), [
    (dict(seed=0), 'seed', 'randomness'), (dict(deterministic=True), 'deterministic', 'randomness'),
    (dict(auto_resume=True), 'auto_resume', '--resume'),
    (dict(gpu_ids=[1]), 'gpu_ids', 'CUDA_VISIBLE_DEVICES'),
    (dict(gpu_ids=[0, 1]), 'gpu_ids', 'dist_train.sh'),
    (dict(device='cuda:1'), 'device', 'CUDA_VISIBLE_DEVICES'),
    (dict(opencv_num_threads=0), 'opencv_num_threads', 'mp_cfg'),
    (dict(mp_start_method='spawn'), 'mp_start_method', 'mp_cfg'),
    (dict(dist_params=dict(backend='gloo')), 'dist_params', 'dist_cfg'),
    (dict(dist_cfg=dict(backend='gloo')), 'dist_cfg', 'env_cfg'),
    (dict(paramwise_cfg=dict(norm_decay_mult=0.)), 'paramwise_cfg', 'optim_wrapper'),
    (dict(clip_grad=dict(max_norm=1)), 'clip_grad', 'optim_wrapper'),
    (dict(checkpoint=dict(interval=2)), 'checkpoint', 'default_hooks'),
    (dict(env_cfg=dict(seed=3)), 'env_cfg.seed', 'randomness'),
    (dict(env_cfg=dict(find_unused_parameters=True)), 'env_cfg.find_unused_parameters',
     'at the top'),
    (dict(find_unused_parameters=True, model_wrapper_cfg=dict(type='MMDistributedDataParallel')),
     'find_unused_parameters', 'model_wrapper_cfg')])
def test_settings_at_places_where_nothing_reads_them(settings, where, place):
    config = Config(dict(model={}, **settings))
    (key, found), = old_settings(config)
    assert key == where and place in found
    with pytest.raises(UserError, match=f'{where} .now '):
        check_keys(config)
    assert [(f.level, f.where) for f in run(keys, config)] == [('error', where)]


@pytest.mark.parametrize('settings', [
    dict(seed=None), dict(seed=3, randomness=dict(seed=3)), dict(auto_resume=False),
    dict(seed=3, train_dataloader=dict(sampler=dict(seed=3))), dict(deterministic=False),
    dict(gpu_ids=[0]), dict(gpu_ids=range(1)), dict(device='auto'),
    dict(find_unused_parameters=True), dict(checkpoint='https://a/b.pth'),
    dict(find_unused_parameters=True, model_wrapper_cfg=dict(find_unused_parameters=True)),
    dict(cudnn_benchmark=True), dict(dist_cfg=dict(a=1), env_cfg=dict(dist_cfg=dict(a=1)))])
def test_settings_that_are_honoured_or_change_nothing(settings):
    assert list(old_settings(Config(settings))) == []


def test_nothing_else_is_read_in_the_environment(detector_config):
    detector_config.env_cfg.threads = 3
    assert [f.where for f in run(keys, detector_config)] == ['env_cfg.threads']


@pytest.mark.parametrize('name', [
    'ssd/ssd300_coco.py', 'yolo/yolov3_mobilenetv2_8xb24-320-300e_coco.py',
    'strongsort/strongsort_yolox_x_8xb4-80e_crowdhuman-mot20train_test-mot20test.py'])
def test_stock_configs_with_such_names_are_not_refused(name):
    # mmdet's SSD has cudnn_benchmark=True at the top.
    config = get_config(f'mmdet::{name}')
    assert list(old_settings(config)) == []
    assert list(unused_variables(config)) == []


@pytest.fixture
def detector_config():
    return load_config('eca_mm::faster_rcnn/faster-rcnn_eca-r50_fpn_4xb2-1x_coco.py')
