"""ValLossHook: the loss on the validation's images changes nothing but the metrics."""
import json
import random

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import METRICS, MODELS, TRANSFORMS
from torch import nn

from eca_mm.engine import CheckedRunner
from eca_mm.engine.config import load_config
from eca_mm.utils.errors import UserError
from tests.support import samples
from tests.support.points import EPOCHS, SHUFFLED, config

VALUES = torch.arange(10.).view(10, 1).expand(10, 2)


@TRANSFORMS.register_module()
class PlainPoint(BaseTransform):
    """A point of the drawn data set, without noise."""

    def transform(self, results):
        return {'x': torch.full((2, ), results['value'])}


@MODELS.register_module()
class Normed(BaseModel):
    """A network with BN whose loss draws random numbers and notes the modes it ran in."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1), nn.Dropout())
        self.seen = []

    def forward(self, x, mode):
        if mode == 'predict':
            return [None] * len(x)
        draw = random.random() + np.random.rand() + torch.rand(1)
        self.seen.append((self.training, torch.is_grad_enabled()))
        return {'loss': self.net(torch.stack(tuple(x))).square().mean(), 'draw': draw}


@METRICS.register_module()
class Count(BaseMetric):

    def process(self, data_batch, data_samples):
        self.results.append(len(data_samples))

    def compute_metrics(self, results):
        return {'images': sum(results)}


class Spy(Hook):
    """Notes the state right before and after the losses are computed, and the metrics."""

    def __init__(self, priority):
        self.priority, self.states, self.metrics = priority, [], []

    def after_val_epoch(self, runner, metrics=None):
        self.states.append((
            runner.model.training, {k: v.clone() for k, v in runner.model.state_dict().items()},
            torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()))
        self.metrics.append(dict(metrics))


def points(folder, *hooks):
    cfg = config(folder, EPOCHS, SHUFFLED, randomness={'seed': 3}, val_cfg={},
                 val_evaluator={'type': 'Count'})
    cfg.model, cfg.custom_hooks = {'type': 'Normed'}, list(hooks)
    # 10 images: no batch of one, which BN refuses in training.
    cfg.train_dataloader.batch_size = 5
    cfg.val_dataloader = {
        'batch_size': 4, 'num_workers': 0, 'sampler': {'type': 'DefaultSampler', 'shuffle': False},
        'dataset': {'type': 'Points', 'pipeline': [{'type': 'PlainPoint'}]}}
    return cfg


def test_training_is_the_same_with_it(tmp_path):
    spies = Spy('HIGHEST'), Spy('LOWEST')
    runners = []
    for name, hooks in (('plain', ()), ('watched', ({'type': 'ValLossHook'}, ))):
        runner = CheckedRunner.from_cfg(points(tmp_path / name, *hooks))
        if hooks:
            # Before the hook, which has the highest priority itself, and after all.
            runner._hooks.insert(0, spies[0])
            runner.register_hook(spies[1])
        runner.train()
        runners.append(runner)
    plain, watched = runners
    for key, value in plain.model.state_dict().items():
        assert torch.equal(value, watched.model.state_dict()[key]), key
    # In evaluation mode and without gradients, 3 batches in each of 3 validations.
    assert [seen for seen in watched.model.seen if seen != (True, True)] == [(False, False)] * 9
    assert all(parameter.grad is None or parameter.grad.isfinite().all()
               for parameter in watched.model.parameters())
    assert all('loss' not in metrics for metrics in spies[0].metrics)
    # Each validation draws the same numbers.
    draws = [metrics['draw'] for metrics in spies[1].metrics]
    assert draws == draws[:1] * 3
    for before, after in zip(*(spy.states for spy in spies), strict=True):
        assert before[0] == after[0]
        assert all(torch.equal(before[1][key], after[1][key]) for key in before[1])
        assert torch.equal(before[2], after[2]) and before[3] == after[3]
        assert (before[4] == after[4]).all()
    # The mean over images, not over batches (the last batch has 2 of 10 images).
    model = watched.model.eval()
    with torch.no_grad():
        expected = model.net(VALUES).square().mean()
    assert spies[1].metrics[-1]['images'] == 10
    assert spies[1].metrics[-1]['loss'] == pytest.approx(float(expected), rel=1e-5)
    assert watched.message_hub.get_scalar('val/loss').current() == pytest.approx(float(expected))
    # What is written is the loss of each validation, not the mean of those so far.
    path, = (tmp_path / 'watched').glob('*/vis_data/scalars.json')
    written = [row['loss'] for row in map(json.loads, path.read_text().splitlines())
               if 'images' in row]
    assert written == pytest.approx([each['loss'] for each in spies[1].metrics], abs=1e-4)
    assert len(set(written)) == 3


@pytest.mark.parametrize('training', [True, False])
def test_the_mode_is_restored_after_an_error_too(tmp_path, training):
    cfg = points(tmp_path, {'type': 'ValLossHook'})
    runner = CheckedRunner.from_cfg(cfg)
    hook, = (each for each in runner.hooks if type(each).__name__ == 'ValLossHook')
    runner.model.train(training)
    state = {key: value.clone() for key, value in runner.model.state_dict().items()}
    hook.after_val_epoch(runner, metrics := {})
    assert set(metrics) == {'loss', 'draw'} and runner.model.training is training
    assert all(torch.equal(value, state[key]) for key, value in runner.model.state_dict().items())
    runner.model.forward = lambda **kwargs: {}['gt_label']
    with pytest.raises(UserError, match='LoadAnnotations'):
        hook.after_val_epoch(runner, {})
    assert runner.model.training is training


def test_interval_and_its_values(tmp_path):
    cfg = points(tmp_path, {'type': 'ValLossHook', 'interval': 2})
    runner = CheckedRunner.from_cfg(cfg)
    runner.register_hook(spy := Spy('LOWEST'))
    runner.train()
    assert ['loss' in metrics for metrics in spy.metrics] == [False, True, False]
    cfg.custom_hooks[0].interval = 0
    cfg.work_dir = cfg.experiment_name = str(tmp_path / 'other')
    with pytest.raises(ValueError, match='interval must be 1 or more'):
        CheckedRunner.from_cfg(cfg)


@pytest.mark.parametrize(('text', 'draw', 'names'), [
    (samples.DETECTION, samples.draw_coco, {'loss', 'loss_rpn_cls', 'loss_cls', 'loss_bbox'}),
    (samples.CLASSIFICATION, samples.draw_classes, {'loss'})])
def test_validation_alone_of_detectors_and_classifiers(tmp_path, text, draw, names):
    """``val()`` without a training: the metrics, and the losses beside them."""
    draw(tmp_path / 'data')
    # The pipeline loads the annotations after it has halved the images.
    text = text.replace('scale=(64, 64)', 'scale=(32, 32)')
    path = samples.write_config(tmp_path / 'config.py', text, tmp_path / 'data', """
val_dataloader, val_evaluator, val_cfg = test_dataloader, test_evaluator, dict()
custom_hooks.append(dict(type='ValLossHook'))""")
    cfg = load_config(str(path))
    cfg.work_dir, cfg.log_level = str(tmp_path / 'work'), 'ERROR'
    for key in ('train_dataloader', 'train_cfg', 'optim_wrapper'):
        cfg.pop(key)
    runner = CheckedRunner.from_cfg(cfg)
    before = {key: value.clone() for key, value in runner.model.state_dict().items()}
    metrics = runner.val()
    logged = runner.message_hub.log_scalars
    for name in names:
        assert np.isfinite(logged[f'val/{name}'].current()), name
    assert metrics and not runner.model.training
    assert all(torch.equal(value, before[key])
               for key, value in runner.model.state_dict().items())
    if 'loss_bbox' in names:
        hook, = (each for each in runner.hooks if type(each).__name__ == 'ValLossHook')
        sample = next(iter(hook._loader))['data_samples'][0]
        annotations = json.loads((tmp_path / 'data/annotations.json').read_text())['annotations']
        x, y, width, height = annotations[0]['bbox']
        assert sample.gt_instances.bboxes.tensor[0].tolist() == [
            x / 2, y / 2, (x + width) / 2, (y + height) / 2]
