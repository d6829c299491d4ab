"""A run on frames and events can be stopped and resumed without a trace."""
import pytest
import torch
from mmengine.hooks import Hook

from eca_mm.config_check import check_config
from eca_mm.datasets.event_frame_scenes import draw_event_scenes
from eca_mm.engine.runner import build_runner
from eca_mm.visualization.event_demo import row_config
from tests.support.catalog import ROOT
from tests.support.marks import few_by_default

CONFIG = str(ROOT / 'configs/demo/retinanet_2xr18-eca_fpn_1xb16-300it_events.py')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp('events') / 'data'
    draw_event_scenes(root, dict(train=1, test=1, dark=1), frames=8)
    return str(root)


def small(data, work_dir, workers=0):
    cfg = row_config(CONFIG, 'eca', data, str(work_dir), 4)
    for stream in (cfg.model.backbone.frame, cfg.model.backbone.event):
        stream.base_channels = stream.stem_channels = 8
    cfg.model.neck.in_channels = [16, 32, 64, 128]
    cfg.train_dataloader.update(batch_size=2, num_workers=workers)
    cfg.default_hooks.checkpoint.update(interval=2, max_keep_ckpts=-1)
    return cfg


def weights(path) -> dict:
    return torch.load(path, weights_only=False)['state_dict']


class Stop(Hook):
    """Interrupts a run in its third iteration, after a checkpoint of the second."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize('workers', few_by_default([0, 1], 0))
def test_interrupted_and_resumed_run_ends_with_the_same_weights(data, tmp_path, workers):
    whole, resumed = tmp_path / 'whole', tmp_path / 'resumed'
    build_runner(small(data, whole, workers)).train()
    runner = build_runner(small(data, resumed, workers))
    runner.register_hook(Stop())
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    assert not (resumed / 'iter_4.pth').exists()
    cfg = small(data, resumed, workers)
    cfg.resume = True
    build_runner(cfg).train()
    expected, found = weights(whole / 'iter_4.pth'), weights(resumed / 'iter_4.pth')
    assert expected.keys() == found.keys()
    assert all(value.equal(found[key]) for key, value in expected.items())
    assert not all(value.equal(expected[key])
                   for key, value in weights(whole / 'iter_2.pth').items())


@pytest.mark.slow
def test_check_config_finds_nothing(data, tmp_path):
    cfg = small(data, tmp_path)
    # The streams normalise by the statistics of their batch; two images would be too few.
    cfg.train_dataloader.batch_size = 4
    assert list(check_config(cfg)) == []


def test_check_config_finds_a_batch_that_is_too_small_for_bn(data, tmp_path):
    found = list(check_config(small(data, tmp_path)))
    assert {(finding.check, finding.where) for finding in found} == {
        ('bn', f'model.backbone.{stream}.norm_eval') for stream in ('frame', 'event')}


def test_check_config_finds_what_is_wrong(data, tmp_path):
    cfg = small(data, tmp_path)
    cfg.train_dataloader.dataset.ann_file = 'annotations/absent.json'
    found = list(check_config(cfg))
    assert any('absent.json' in finding.message for finding in found)
