"""What StopOnInvalidLossHook reports about the origin of a NaN."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook

from eca_mm.engine import CheckedRunner
from eca_mm.engine.config import load_config
from eca_mm.engine.hooks import StopOnInvalidLossHook
from eca_mm.utils.errors import UserError
from tests.support import samples


class Inject(Hook):
    """Does something to the runner in its second iteration."""

    def __init__(self, action):
        self.action = action

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 1:
            self.action(runner, data_batch)


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')
    samples.draw_coco(root / 'coco')
    samples.draw_classes(root / 'classes')
    return {'det': samples.write_config(root / 'det.py', samples.DETECTION, root / 'coco'),
            'cls': samples.write_config(root / 'cls.py', samples.CLASSIFICATION, root / 'classes')}


def train(path, work_dir, action, **options):
    config = load_config(str(path), {'work_dir': str(work_dir), 'log_level': 'ERROR', **options})
    config.work_dir = str(work_dir)
    runner = CheckedRunner.from_cfg(config)
    runner.register_hook(Inject(action))
    before = {}
    runner.register_hook(Inject(lambda runner, batch: before.update(
        {name: value.clone() for name, value in runner.model.named_parameters()})))
    with pytest.raises(UserError) as caught:
        runner.train()
    return str(caught.value), runner.model, before


def nan_pixel(runner, batch):
    batch['inputs'][1] = batch['inputs'][1].float()
    batch['inputs'][1][0, 2, 3] = np.nan


def nan_box(runner, batch):
    batch['data_samples'][0].gt_instances.bboxes.tensor[0, 0] = np.nan


def nan_weight(name):
    def act(runner, batch):
        runner.model.get_parameter(name).data.view(-1)[0] = np.nan
    return act


def nan_gradient(name):
    def act(runner, batch):
        runner.model.get_parameter(name).register_hook(lambda grad: grad * np.nan)
    return act


def overflow(runner, batch):
    # Finite weights whose product with the input is not.
    runner.model.backbone.layer3[0].conv1.weight.data.fill_(3e38)


def test_only_losses_and_weights_count():
    hook = StopOnInvalidLossHook()
    hook.after_train_iter(None, 0, outputs={'loss': torch.ones(1), 'acc': np.nan})
    runner = SimpleNamespace(iter=4)
    state = {'count': torch.tensor(3), 'weight': torch.ones(2)}
    hook.before_save_checkpoint(runner, {'state_dict': state})
    for value in (np.nan, -np.inf):
        state['weight'][1] = value
        with pytest.raises(UserError, match='The weights weight are not finite after iteration 5'):
            hook.before_save_checkpoint(runner, {'state_dict': state})


@pytest.mark.parametrize(('config', 'action', 'named'), [
    ('det', nan_pixel, 'the pixels of id 4 '),
    ('det', nan_box, 'the annotations of id 3 '),
    ('det', nan_weight('neck.fpn_convs.2.conv.weight'), 'the weight neck.fpn_convs.2.conv.weight'),
    ('det', overflow, 'the output of layer backbone.layer3.0.'),
    ('cls', nan_weight('backbone.layer2.0.eca.conv.weight'),
     'the weight backbone.layer2.0.eca.conv.weight'),
])
def test_the_origin_of_an_invalid_loss_is_named(folders, tmp_path, config, action, named):
    sentence, model, before = train(folders[config], tmp_path, action)
    assert 'invalid in iteration 2 (epoch 1)' in sentence and named in sentence, sentence
    image = 'id 3 ' if config == 'det' else 'green/'
    assert image in sentence
    # The step was not taken (the gradients of a NaN box happen to be finite).
    for name, value in model.named_parameters():
        if name in before and name not in named and action not in (overflow, nan_box):
            assert torch.equal(value, before[name]), name


@pytest.mark.parametrize('clip', [None, {'max_norm': 10}])
def test_a_gradient_is_named_and_the_weights_stay(folders, tmp_path, clip):
    name = 'backbone.layer3.1.conv2.weight'
    sentence, model, before = train(
        folders['cls'], tmp_path, nan_gradient(name), **{'optim_wrapper.clip_grad': clip})
    assert sentence.startswith('The gradient became invalid in iteration 2')
    if clip is None:
        assert f'the gradient of {name} is the first' in sentence
    else:
        assert 'the gradient of ' in sentence
    for weight, value in model.named_parameters():
        assert torch.equal(value, before[weight])


def test_looking_at_gradients_can_be_switched_off(folders, tmp_path):
    sentence, model, _ = train(
        folders['cls'], tmp_path, nan_gradient('backbone.conv1.weight'),
        **{'custom_hooks.0.gradients': False})
    # The step was taken, and the next loss is the first sign of it.
    assert 'loss became invalid in iteration 3' in sentence
    assert 'the weight backbone.conv1.weight' in sentence
