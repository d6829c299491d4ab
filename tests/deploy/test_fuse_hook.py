"""The hook exchanges the model during a test."""
import copy

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import EMAHook, Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from eca_mm.backbones import ECAResNet
from eca_mm.deploy import FuseHook
from eca_mm.ops.inference_block import InferenceBlock
from tests.support.randomize import randomize


class Net(BaseModel):

    def __init__(self):
        super().__init__()
        self.backbone = ECAResNet(18, base_channels=8, stem_channels=8)

    def forward(self, inputs, mode='tensor'):
        return [self.backbone(torch.stack(inputs))[0].mean()]


class Mean(BaseMetric):

    def process(self, data_batch, data_samples):
        self.results += [float(value) for value in data_samples]

    def compute_metrics(self, results):
        return dict(mean=sum(results) / len(results))


class Watch(Hook):
    """Remembers the model that was tested."""

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.model = runner.model


@pytest.fixture
def new_runner(tmp_path):

    def new(model, *hooks):
        images = [dict(inputs=image) for image in torch.randn(2, 3, 64, 64).unbind()]
        return Runner(model, str(tmp_path), test_dataloader=dict(
            dataset=images, sampler=dict(type='DefaultSampler', shuffle=False), batch_size=2,
            num_workers=0), test_cfg=dict(), test_evaluator=dict(type=Mean),
            custom_hooks=list(hooks), log_level='ERROR', experiment_name=str(id(model)))

    return new


def blocks(model):
    return [m for m in model.modules() if isinstance(m, InferenceBlock)]


def test_exchanged_and_put_back(new_runner):
    model, watch = randomize(Net()), Watch()
    state = copy.deepcopy(model.state_dict())
    torch.manual_seed(1)
    expected = new_runner(copy.deepcopy(model)).test()['mean']
    torch.manual_seed(1)
    runner = new_runner(model, watch, dict(type='FuseHook'))
    assert runner.test()['mean'] == pytest.approx(expected, rel=1e-5)
    assert len(blocks(watch.model)) == 8
    assert runner.model is model and not blocks(model)
    assert all(value.equal(state[name]) for name, value in model.state_dict().items())


def test_averaged_weights_are_the_ones_that_are_fused(new_runner):
    model, other = randomize(Net()), randomize(Net())
    ema, hook = EMAHook(update_buffers=True), FuseHook()
    runner = new_runner(model, hook)
    runner.register_hook(ema)
    hooks = [each for each in runner.hooks if each in (ema, hook)]
    ema.before_run(runner)
    ema.ema_model.module.load_state_dict(other.state_dict())
    state = copy.deepcopy(model.state_dict())
    for each in hooks:
        each.before_test_epoch(runner)
    expected = torch.nn.utils.fuse_conv_bn_eval(other.backbone.conv1, other.backbone.bn1).weight
    torch.testing.assert_close(runner.model.backbone.conv1.weight, expected)
    for each in hooks:
        each.after_test_epoch(runner)
    assert runner.model is model
    assert all(value.equal(state[name]) for name, value in model.state_dict().items())


def test_inside_of_a_wrapper(new_runner):

    class Wrapper(nn.Module):
        """As MMDistributedDataParallel, without processes."""

        def __init__(self, module):
            super().__init__()
            self.module = module

    from mmengine.registry import MODEL_WRAPPERS
    MODEL_WRAPPERS.register_module(name='WrapperOfTheTest', module=Wrapper)
    try:
        runner = new_runner(randomize(Net()))
        inner = runner.model
        runner.model, hook = Wrapper(inner), FuseHook()
        hook.before_test_epoch(runner)
        assert isinstance(runner.model, Wrapper) and len(blocks(runner.model.module)) == 8
        hook.after_test_epoch(runner)
        assert runner.model.module is inner
    finally:
        MODEL_WRAPPERS._module_dict.pop('WrapperOfTheTest')
