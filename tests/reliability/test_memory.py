"""Training and inference take no more memory the longer they run."""
import ctypes
import os
import statistics
from pathlib import Path

import pytest
from mmengine.hooks import Hook

from eca_mm.engine import CheckedRunner
from eca_mm.engine.config import load_config
from tests.support import samples

pytestmark = pytest.mark.slow

ITERATIONS = 300


class Watch(Hook):
    """Notes the resident memory, in bytes, after each iteration.

    glibc keeps up to 64 MiB of freed memory for later, by chance: it has to give that back first.
    """

    def __init__(self):
        self.resident = []
        self.trim = getattr(ctypes.CDLL(None), 'malloc_trim', lambda _: None)

    def _after_iter(self, runner, batch_idx, data_batch=None, outputs=None, mode='train'):
        self.trim(0)
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
    second = watch.resident[ITERATIONS // 2:]
    mean = statistics.mean(second)
    lowest, highest = ((limit(second) - mean) / mean for limit in (min, max))
    growth = (statistics.mean(second[len(second) // 2:]) - mean) / mean
    with capsys.disabled():
        print(f'\n{name} {mode}: {mean / 2**20:.0f} MiB in iterations {ITERATIONS // 2 + 1} to '
              f'{ITERATIONS}, between {lowest:+.2%} and {highest:+.2%}, growth {growth:+.2%}')
    assert -0.02 < lowest and highest < 0.02
