"""Four detectors on drawn scenes: frames, events, and both by a concatenation and by ECA."""
from __future__ import annotations

import copy
import os

import numpy as np
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from torchvision.ops import nms

from eca_mm.engine.config import load_config
from eca_mm.engine.runner import build_runner

from .event_frames import beside, under_titles

ROWS = ('frames', 'events', 'concat', 'eca')


def row_config(config: str, row: str, data: str, work_dir: str, iters: int | None = None,
               seed: int = 0) -> Config:
    """The demo's config for one of its rows.

    Args:
        config (str): The config of the row ``'eca'``.
        row (str): A row of :data:`ROWS`.
        data (str): Folder that :func:`~eca_mm.datasets.event_frame_scenes.draw_event_scenes` made.
        work_dir (str): For the log and the checkpoint.
        iters (int, optional): Training iterations. Defaults to those of the config.
        seed (int): Seed of the training. Defaults to 0.

    Returns:
        Config: Ready to be built.
    """
    cfg = load_config(config)
    backbone, model = cfg.model.backbone, cfg.model
    if row == 'concat':
        backbone.fusion = dict(type='ConcatFusion')
    elif row != 'eca':
        backbone['event' if row == 'frames' else 'frame'] = backbone['fusion'] = None
        model.neck.in_channels = [channels // 2 for channels in model.neck.in_channels]
    if row == 'frames':
        # Nothing else could be seen.
        model.data_preprocessor.frame_dropout = 0.
    if iters is not None:
        cfg.train_cfg.max_iters = cfg.default_hooks.checkpoint.interval = iters
        warm_up, cosine = cfg.param_scheduler
        warm_up.end = cosine.begin = min(warm_up.end, iters - 1)
        cosine.end, cosine.T_max = iters, iters - warm_up.end
    cfg.work_dir, cfg.randomness = work_dir, dict(seed=seed)
    cfg.train_dataloader.dataset.data_root = data
    return use_part(cfg, data, 'test')


def use_part(cfg: Config, data: str, part: str) -> Config:
    """Have a config of the demo test one part of the data.

    Args:
        cfg (Config): The config, which is changed.
        data (str): Folder of the data.
        part (str): ``'test'`` or ``'dark'``.

    Returns:
        Config: The same.
    """
    cfg.test_dataloader.dataset.update(data_root=data, ann_file=f'annotations/{part}.json')
    for evaluator in cfg.test_evaluator:
        evaluator.ann_file = os.path.join(data, f'annotations/{part}.json')
    return cfg


def run_row(cfg: Config, data: str) -> tuple[Runner, dict[str, float]]:
    """Train a row and evaluate it on normal and on black frames.

    Args:
        cfg (Config): What :func:`row_config` gives.
        data (str): Folder of the data.

    Returns:
        tuple[Runner, dict[str, float]]: The runner, and ``ap`` and ``ap50`` of pycocotools on
        normal frames and ``ap_dark`` on black ones.
    """
    runner = build_runner(cfg)
    runner.train()
    figures = {}
    for part in ('test', 'dark'):
        fresh = use_part(copy.deepcopy(cfg), data, part)
        runner._test_dataloader, runner._test_evaluator = (
            fresh.test_dataloader, fresh.test_evaluator)
        runner._test_loop = fresh.test_cfg
        metrics = runner.test()
        # A detector that finds nothing at all gets no figures.
        ap, ap50 = (float(metrics.get(f'coco/bbox_mAP{tail}', 0)) for tail in ('', '_50'))
        figures.update(dict(ap=ap, ap50=ap50) if part == 'test' else dict(ap_dark=ap))
    return runner, figures


def draw_predictions(runner: Runner, cfg: Config, data: str, part: str, count: int = 3,
                     score_thr: float = 0.4) -> np.ndarray:
    """Draw frame, events and both with what a trained row finds.

    Of boxes on the same object, whatever their classes, the surest is drawn.

    Args:
        runner (Runner): Its runner.
        cfg (Config): Its config.
        data (str): Folder of the data.
        part (str): ``'test'`` or ``'dark'``.
        count (int): How many frames, evenly spread. Defaults to 3.
        score_thr (float): Lowest score of a box to draw. Defaults to 0.4.

    Returns:
        np.ndarray: One picture of all with a title over each column, uint8 of shape (H, W, 3).
    """
    dataset = DATASETS.build(use_part(copy.deepcopy(cfg), data, part).test_dataloader.dataset)
    classes, rows = dataset.metainfo['classes'], []
    for index in np.linspace(0, len(dataset) - 1, count + 2).round().astype(int)[1:-1]:
        sample = dataset[int(index)]
        found = runner.model.test_step(pseudo_collate([sample]))[0].pred_instances
        found = found[found.scores >= score_thr]
        found = found[nms(found.bboxes, found.scores, .5)]
        names = [f'{classes[label]} {score:.2f}' for label, score in zip(
            found.labels.tolist(), found.scores.tolist(), strict=True)]
        image = sample['inputs'].numpy()
        rows.append(beside(image[:3].transpose(1, 2, 0).astype(np.uint8), image[3:],
                           found.bboxes.tolist(), names, scale=5))
    return under_titles(rows, ('frame', 'events, 50 ms', f'both, with boxes from {score_thr}'))
