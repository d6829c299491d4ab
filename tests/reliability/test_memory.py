"""Training and inference take no more memory the longer they run."""
import os
import statistics
from pathlib import Path

import pytest
from mmengine.hooks import Hook

from eca_mm.engine import CheckedRunner
from eca_mm.engine.config import load_config
from tests.engine import samples

pytestmark = pytest.mark.slow

ITERATIONS = 300


class Watch(Hook):
    """Notes the resident memory, in bytes, after each iteration."""

    def __init__(self):
        self.resident = []

    def _after_iter(self, runner, batch_idx, data_batch=None, outputs=None, mode='train'):
        pages = Path('/proc/self/statm').read_text().split()[1]
        self.resident.append(int(pages) * os.sysconf('SC_PAGE_SIZE'))


@pytest.mark.parametrize('mode', ['train', 'test'])
@pytest.mark.parametrize('name', ['det', 'cls'])
def test_resident_memory_is_flat(tmp_path, capsys, name, mode):
    # Images of several sizes, as in practice: allocators then have to fit them.
    data = tmp_path / 'data'
    if name == 'det':
        samples.draw_coco(data, images=12)
        path = samples.write_config(tmp_path / 'det.py', samples.DETECTION, data)
    else:
        samples.draw_classes(data)
        path = samples.write_config(tmp_path / 'cls.py', samples.CLASSIFICATION, data)
    config = load_config(str(path), {'work_dir': str(tmp_path / 'run'), 'log_level': 'ERROR'})
    config.train_cfg = {'type': 'IterBasedTrainLoop', 'max_iters': ITERATIONS}
    config.train_dataloader.sampler = {'type': 'InfiniteSampler'}
    config.train_dataloader.batch_size = config.test_dataloader.batch_size = 1
    config.default_hooks.checkpoint = {'type': 'CheckpointHook', 'interval': 50,
                                       'by_epoch': False, 'max_keep_ckpts': 1}
    if name == 'det':
        for loader in (config.train_dataloader, config.test_dataloader):
            loader.dataset.pipeline[1] = {
                'type': 'RandomChoiceResize', 'keep_ratio': True,
                'scales': [(side, side) for side in range(48, 97, 16)]}
    config.test_dataloader.dataset = {
        'type': 'RepeatDataset', 'times': ITERATIONS, 'dataset': config.test_dataloader.dataset}
    runner = CheckedRunner.from_cfg(config)
    watch = Watch()
    runner.register_hook(watch)
    if mode == 'train':
        runner.train()
    else:
        # Without the evaluation of the same images again and again.
        loop = runner.build_test_loop(config.test_cfg)
        loop.evaluator.metrics.clear()
        runner.model.eval()
        runner.call_hook('before_test')
        runner.call_hook('before_test_epoch')
        for index, batch in enumerate(loop.dataloader):
            if index == ITERATIONS:
                break
            loop.run_iter(index, batch)
    assert len(watch.resident) == ITERATIONS
    half, quarter = ITERATIONS // 2, ITERATIONS // 4
    third, fourth = watch.resident[half:-quarter], watch.resident[-quarter:]
    mean = statistics.mean(third + fourth)
    growth = (statistics.mean(fourth) - statistics.mean(third)) / mean
    peaks = (max(fourth) - max(third)) / mean
    spread = (max(third + fourth) - min(third + fourth)) / mean
    with capsys.disabled():
        print(f'\n{name} {mode}: {mean / 2**20:.0f} MiB in iterations {half + 1} to {ITERATIONS}, '
              f'growth {growth:+.2%}, of the peaks {peaks:+.2%}, spread {spread:.2%}')
    # Checkpoints are written in both quarters, which need memory for a moment.
    assert abs(growth) < 0.02 and abs(peaks) < 0.02
