"""mmengine's own training loop over checkpoints that it wrote itself."""
import numpy as np
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseModel, BaseModule
from mmengine.registry import MODELS
from mmengine.runner import Runner

from eca_mm.compat import load_checkpoint_file


class Regressor(BaseModel):

    def __init__(self, init_cfg=None):
        super().__init__(init_cfg=init_cfg)
        self.backbone = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))

    def forward(self, x, y, mode):
        x, y = torch.stack(tuple(x)), torch.stack(tuple(y))
        prediction = self.backbone(x)
        return {'loss': (prediction - y).square().mean()} if mode == 'loss' else [prediction]


class Score(BaseMetric):
    """Returns numpy scalars, as many metrics do, which end up in checkpoints."""

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        return {'score': np.float32(0.5), 'number': np.int64(len(results))}


SCHEDULERS = [
    {'type': 'LinearLR', 'start_factor': 0.1, 'begin': 0, 'end': 2, 'by_epoch': False},
    {'type': 'MultiStepLR', 'milestones': [1, 3]},
    {'type': 'OneCycleLR', 'eta_max': 0.2, 'total_steps': 50, 'by_epoch': False},
    {'type': 'ReduceOnPlateauLR', 'monitor': 'score', 'rule': 'greater'},
]


def runner(folder, **options):
    generator = torch.Generator().manual_seed(0)
    data = [tuple(torch.randn(2, 2, generator=generator)) for _ in range(8)]
    loader = {'batch_size': 4, 'dataset': data,
              'sampler': {'type': 'DefaultSampler', 'shuffle': False}}
    torch.manual_seed(0)
    return Runner(
        Regressor(), str(folder), train_dataloader=loader, val_dataloader=loader, val_cfg={},
        val_evaluator=Evaluator([Score()]), train_cfg={'by_epoch': True, 'max_epochs': 4},
        optim_wrapper={'optimizer': {'type': 'AdamW', 'lr': 0.1}}, param_scheduler=SCHEDULERS,
        custom_hooks=[{'type': 'EMAHook'}],
        default_hooks={'checkpoint': {'type': 'CheckpointHook', 'interval': 1,
                                      'save_best': 'score', 'rule': 'greater'}},
        experiment_name=folder.name, log_level='ERROR', **options)


def test_resuming_equals_training_through(tmp_path):
    through = runner(tmp_path / 'through')
    through.train()
    resumed = runner(tmp_path / 'resumed', resume=True,
                     load_from=str(tmp_path / 'through' / 'epoch_2.pth'))
    resumed.train()
    assert resumed.iter == through.iter == 8
    history = resumed.message_hub.get_scalar('train/loss').data[0]
    np.testing.assert_array_equal(history, through.message_hub.get_scalar('train/loss').data[0])
    weights, expected = (load_checkpoint_file(tmp_path / run / 'epoch_4.pth')
                         for run in ('resumed', 'through'))
    assert weights['ema_state_dict'].keys() == expected['ema_state_dict'].keys()
    for name, tensor in expected['state_dict'].items():
        assert torch.equal(weights['state_dict'][name], tensor), name


def test_init_cfg_takes_a_backbone_out_of_a_checkpoint(tmp_path):
    trained = runner(tmp_path / 'run')
    trained.train()

    @MODELS.register_module()
    class PretrainedBackbone(BaseModule, torch.nn.Sequential):
        def __init__(self, init_cfg):
            BaseModule.__init__(self, init_cfg)
            self.append(torch.nn.Linear(2, 2))
            self.append(torch.nn.BatchNorm1d(2))

    try:
        backbone = MODELS.build({'type': 'PretrainedBackbone', 'init_cfg': {
            'type': 'Pretrained', 'checkpoint': str(tmp_path / 'run' / 'epoch_4.pth'),
            'prefix': 'backbone.'}})
        backbone.init_weights()
    finally:
        MODELS.module_dict.pop('PretrainedBackbone')
    saved = load_checkpoint_file(tmp_path / 'run' / 'epoch_4.pth')['state_dict']
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, saved[f'backbone.{name}'])


def test_a_config_in_a_checkpoint_is_not_run_by_resuming(tmp_path):
    """mmengine runs the text under meta.config, and keeps that of the message hub."""
    runner(tmp_path / 'run', cfg={'mine': 1}).train()
    path = tmp_path / 'run' / 'epoch_2.pth'
    saved = load_checkpoint_file(path)
    code = f"__import__('os').mkdir({str(tmp_path / 'marker')!r})"
    saved['meta'].update(config=code, cfg=code)
    saved['message_hub']['runtime_info']['cfg'] = code
    torch.save(saved, path)
    resumed = runner(tmp_path / 'resumed', resume=True, load_from=str(path), cfg={'mine': 2})
    resumed.train()
    assert not (tmp_path / 'marker').exists()
    found = load_checkpoint_file(tmp_path / 'resumed' / 'epoch_4.pth')
    for text in (found['meta']['cfg'], found['message_hub']['runtime_info']['cfg']):
        assert 'mine' in text and 'mkdir' not in text
    assert 'config' not in found['meta']
