"""What CheckedRunner makes of the parts of a config."""
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from eca_mm.engine import CheckedRunner
from tests.support import points, samples


@pytest.fixture(scope='module')
def detector(tmp_path_factory):
    folder = tmp_path_factory.mktemp('detector')
    samples.draw_coco(folder / 'coco')
    return folder, samples.write_config(folder / 'det.py', samples.DETECTION, folder / 'coco')


def build(detector, **more):
    folder, path = detector
    cfg = Config.fromfile(path)
    cfg.update(work_dir=str(folder / 'run'), log_level='ERROR', experiment_name=str(more), **more)
    return CheckedRunner.from_cfg(cfg)


@pytest.mark.parametrize('split', ['val', 'test'])
def test_a_skipped_image_of_an_evaluation_is_an_empty_one_not_another(detector, split):
    folder, path = detector
    cfg = Config.fromfile(path)
    runner = build(detector, on_bad_image='skip', val_dataloader=cfg.test_dataloader,
                   val_cfg={}, val_evaluator=cfg.test_evaluator)
    image = folder / 'coco/images/002.jpg'
    content = image.read_bytes()
    image.write_bytes(content[:100])
    try:
        loop = runner.val_loop if split == 'val' else runner.test_loop
        sample = loop.dataloader.dataset[1]
    finally:
        image.write_bytes(content)
    assert sample['data_samples'].img_id == 2
    assert len(np.unique(sample['inputs'].numpy())) == 1


@pytest.mark.slow
def test_a_whole_detector_does_not_want_the_weights_of_its_backbone(detector, tmp_path):
    first = build(detector)
    weights = tmp_path / 'first.pth'
    torch.save({f'backbone.{name}': value
                for name, value in first.model.backbone.state_dict().items()}, weights)
    cfg = Config.fromfile(detector[1])
    backbone = {**cfg.model.backbone, 'init_cfg': {
        'type': 'Pretrained', 'checkpoint': str(weights), 'prefix': 'backbone.'}}
    model = {**cfg.model, 'backbone': backbone}
    trained = build(detector, model=model)
    trained._work_dir = str(tmp_path / 'run')
    trained.train()
    expected = {name: value.clone() for name, value in trained.model.state_dict().items()}
    saved = str(tmp_path / 'run/epoch_1.pth')
    weights.unlink()
    tester = build(detector, model=model, load_from=saved)
    assert 'coco/bbox_mAP' in tester.test()
    resumed = build(detector, model=model, load_from=saved, resume=True)
    resumed.train()
    for runner in (tester, resumed):
        for name, value in runner.model.state_dict().items():
            assert torch.equal(value, expected[name]), name


@METRICS.register_module()
class Nothing(BaseMetric):

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return {'images': len(results)}


@pytest.mark.parametrize('load', ['load_from', 'load_checkpoint', 'trained'])
def test_training_after_a_validation_starts_from_what_was_loaded(tmp_path, load):
    def runner(**more):
        cfg = points.config(tmp_path / load, points.EPOCHS, points.SHUFFLED, **more)
        # Training changes nothing.
        cfg.optim_wrapper.optimizer.lr, cfg.custom_hooks = 0., []
        cfg.val_dataloader = dict(cfg.train_dataloader, sampler=dict(type='DefaultSampler'))
        cfg.update(val_cfg={}, val_evaluator=dict(type='Nothing'))
        cfg.model.init_cfg = dict(type='Constant', layer='Linear', val=7)
        return CheckedRunner.from_cfg(cfg)

    path = str(tmp_path / 'saved.pth')
    first = runner()
    torch.save(dict(state_dict=first.model.state_dict()), path)
    expected = {name: value.clone() for name, value in first.model.state_dict().items()}
    second = runner(**dict(load_from=path) if load == 'load_from' else {})
    if load == 'load_checkpoint':
        second.load_checkpoint(path)
    elif load == 'trained':
        second.train()
        second.model.load_state_dict(expected)
    second.val()
    second.train()
    for name, value in second.model.state_dict().items():
        assert torch.equal(value, expected[name]), name
