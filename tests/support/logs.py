"""Work directories as mmengine leaves them, written by mmengine's own backend."""
from pathlib import Path

from mmengine.config import Config
from mmengine.visualization import LocalVisBackend

CLASSIFIER = {
    'default_scope': 'mmpretrain',
    'model': {
        'type': 'ImageClassifier',
        'backbone': {'type': 'ECAResNet', 'depth': 18, 'base_channels': 8, 'stem_channels': 8,
                     'kernel_size': 3},
        'neck': {'type': 'GlobalAveragePooling'},
        'head': {'type': 'LinearClsHead', 'num_classes': 3, 'in_channels': 64}},
    'test_dataloader': {'dataset': {'pipeline': [{'type': 'CenterCrop', 'crop_size': 32}]}}}


def write_start(work_dir: Path, number: int, config: dict, records: list[dict],
                resume: bool = False) -> Path:
    """Write what a start of a training logs; return its ``scalars.json``.

    Args:
        work_dir: The work directory.
        number: Orders the starts of a work directory.
        config: The config.
        records: Scalars with their ``step``.
        resume: Whether the start was told to resume.
    """
    start = work_dir / f'20260101_{number:06d}'
    backend = LocalVisBackend(str(start / 'vis_data'))
    backend.add_config(Config(dict(config, resume=resume)))
    for record in records:
        backend.add_scalars(record, step=record['step'])
    return start / 'vis_data' / 'scalars.json'
