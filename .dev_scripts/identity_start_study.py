#!/usr/bin/env python
"""Add ECA to a trained MobileNetV2, with and without the identity as its start, and fine-tune.

The weights are those of a plain MobileNetV2 (docs/benchmarks.md says where they come from). A first
training gives them a classifier; every network then starts from that one's result.

    python .dev_scripts/identity_start_study.py checkpoints/mobilenet-v2.pth --seeds 0 1 2
"""
import argparse
from pathlib import Path
from statistics import mean
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook

import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.engine.config import load_config
from eca_mm.engine.runner import build_runner
from eca_mm.utils.cli import run
from eca_mm.utils.results import write_results

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs/demo/eca-mobilenet-v2_1xb32-10e_imagenet200.py'
NETWORKS: dict[str, dict | None] = {
    'no attention': None,
    'ECA': dict(type='ECALayer'),
    'ECA, identity_start': dict(type='ECALayer', identity_start=True),
}
METRICS = ('accuracy/top1', 'loss')


class Record(Hook):
    """Keeps the metrics of every validation."""

    def __init__(self) -> None:
        self.found: list[dict[str, float]] = []

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Keep them.

        Args:
            runner (Runner): The running runner.
            metrics (dict[str, float]): Results of the validation.
        """
        self.found.append({name: float((metrics or {})[name]) for name in METRICS})


def settings(work_dir: Path, weights: Path, epochs: int, rate: float, seed: int,
             **backbone: Any) -> Config:
    """One training.

    Args:
        work_dir (Path): Its work directory.
        weights (Path): Checkpoint that it starts from.
        epochs (int): How long it is.
        rate (float): Largest learning rate.
        seed (int): Its seed.
        **backbone (Any): Arguments of the backbone.

    Returns:
        Config: All of it.
    """
    config = load_config(str(CONFIG))
    config.work_dir, config.load_from = str(work_dir), str(weights)
    config.model.backbone = dict(type='AttentionMobileNetV2', widen_factor=1.0, **backbone)
    config.train_cfg.max_epochs = epochs
    config.optim_wrapper.optimizer.lr = rate
    config.param_scheduler[1].T_max = epochs
    config.default_hooks.logger.interval = 25
    config.randomness.seed = seed
    config.custom_hooks.append(dict(type='ValLossHook'))
    return config


def probe(args: argparse.Namespace) -> Path:
    """Train a classifier on what the frozen network computes.

    Args:
        args (argparse.Namespace): The command line.

    Returns:
        Path: The checkpoint of the plain network with it.
    """
    folder = args.work_dirs / 'plain'
    path = folder / f'epoch_{args.probe_epochs}.pth'
    if not path.is_file():
        config = settings(folder, args.weights, args.probe_epochs, 1e-3, 0, attention=None,
                          frozen_stages=7, norm_eval=True)
        build_runner(config).train()
    return path


def fine_tune(args: argparse.Namespace, weights: Path, name: str, seed: int) -> list[dict]:
    """Validate a network before and after every epoch of fine-tuning.

    Args:
        args (argparse.Namespace): The command line.
        weights (Path): The plain network's checkpoint.
        name (str): Key of ``NETWORKS``.
        seed (int): Seed of the attention's start and of the training.

    Returns:
        list[dict]: The metrics at the start and after each epoch.
    """
    folder = args.work_dirs / f'{name.replace(", ", "-").replace(" ", "-")}-s{seed}'
    config = settings(folder, weights, args.epochs, args.lr, seed, attention=NETWORKS[name])
    runner = build_runner(config)
    record = Record()
    runner.register_hook(record, priority='LOWEST')
    runner.val()
    runner.train()
    return record.found


def main() -> None:
    """Train, fine-tune, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('weights', type=Path)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--probe-epochs', type=int, default=6)
    parser.add_argument('--epochs', type=int, default=2)
    parser.add_argument('--lr', type=float, default=1e-4)
    parser.add_argument('--work-dirs', type=Path, default=Path('work_dirs/identity_start_study'))
    args = parser.parse_args()
    weights = probe(args)
    figures: dict[str, list] = {}
    for seed in args.seeds:
        for name in NETWORKS:
            figures.setdefault(name, []).append(fine_tune(args, weights, name, seed))
    write_results(figures, str(args.work_dirs / 'study.json'), overwrite=True)
    for name, runs in figures.items():
        for epoch in range(args.epochs + 1):
            top1, loss = ([each[epoch][metric] for each in runs] for metric in METRICS)
            print(f'{name:20s} after {epoch} epochs: top-1 {mean(top1):5.1f} '
                  f'({min(top1):.1f} to {max(top1):.1f})  loss {mean(loss):.3f} '
                  f'({min(loss):.3f} to {max(loss):.3f})')


if __name__ == '__main__':
    run(main)
