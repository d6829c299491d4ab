"""A training of milliseconds that draws random numbers wherever a real one does."""
import random

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS, TRANSFORMS

LOADED = []


@DATASETS.register_module()
class Points(BaseDataset):

    def load_data_list(self):
        return [{'value': float(i), 'width': 1 + i % 2 * 2, 'height': 2} for i in range(10)]


@TRANSFORMS.register_module()
class Shake(BaseTransform):
    """Draws from all three global generators."""

    def transform(self, results):
        LOADED.append(results['value'])
        noise = torch.rand(1).item() + np.random.rand() + random.random()
        return {'x': torch.full((2, ), results['value'] + noise)}


@MODELS.register_module()
class Dropping(BaseModel):

    def __init__(self, init_cfg=None):
        super().__init__(init_cfg=init_cfg)
        self.net = torch.nn.Sequential(
            torch.nn.Linear(2, 8), torch.nn.Dropout(), torch.nn.Linear(8, 1))

    def forward(self, x, mode):
        if mode == 'predict':
            return [None] * len(x)
        scale = np.random.rand() + random.random()
        return {'loss': (self.net(torch.stack(tuple(x))) - scale).square().mean()}


def config(folder, loop, sampler, workers=0, **more):
    return Config({
        'model': {'type': 'Dropping'}, 'work_dir': str(folder), 'train_cfg': loop,
        'train_dataloader': {
            'batch_size': 3, 'num_workers': workers, 'sampler': sampler,
            'batch_sampler': {'type': 'SeededBatchSampler'},
            'dataset': {'type': 'Points', 'pipeline': [{'type': 'SeedSample'}, {'type': 'Shake'}]}},
        'optim_wrapper': {'optimizer': {'type': 'Adam', 'lr': 0.01}},
        'param_scheduler': [{'type': 'CosineAnnealingLR', 'T_max': 10, 'by_epoch': False}],
        'custom_hooks': [{'type': 'EMAHook'}], 'experiment_name': str(folder),
        'default_hooks': {
            'checkpoint': {'type': 'SafeCheckpointHook', 'interval': 1, 'by_epoch': False}},
        'log_level': 'ERROR', **more})


EPOCHS = {'type': 'RepeatableEpochLoop', 'max_epochs': 3}
ITERS = {'type': 'RepeatableIterLoop', 'max_iters': 12}
SHUFFLED, ENDLESS = {'type': 'DefaultSampler'}, {'type': 'InfiniteSampler'}


def flat(node):
    """All numbers of a nested container, in one tensor."""
    if isinstance(node, torch.Tensor):
        return node.double().flatten()
    if isinstance(node, dict):
        node = [node[key] for key in sorted(node, key=str)]
    if isinstance(node, list | tuple):
        return torch.cat([torch.zeros(0).double(), *map(flat, node)])
    return torch.tensor([float(node)] if isinstance(node, int | float) else []).double()
