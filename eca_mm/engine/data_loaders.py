"""Data loaders of a config with checked image loading."""
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.registry import TRANSFORMS
from torch.utils.data import DataLoader

from eca_mm.compat.data_workers import send_errors
from eca_mm.datasets import LoadImage
from eca_mm.datasets.pipelines import rebuild, walk
from eca_mm.datasets.repeatable import is_seeded

from .config import current_scope


def with_checked_images(node: Any, **options: Any) -> Any:
    """Copy a data loader's config with checked image loading in every pipeline of it.

    Args:
        node (Any): A data loader's config.
        **options: Arguments for :class:`eca_mm.datasets.LoadImage`.

    Returns:
        Any: The copy.
    """
    def change(part: dict) -> dict:
        if _is_stock(part.get('type')) or _is_ours(part.get('type')):
            part.update(options, type=LoadImage)
        return part

    return rebuild(node, change)


def from_files(pipeline: list) -> list:
    """Let a pipeline begin with image files.

    Args:
        pipeline (list): Steps of a config; those for CIFAR, whose data sets hand over arrays in
            RGB, have none that loads.

    Returns:
        list: The same steps with checked image loading, in RGB if there was none.
    """
    if not any('Load' in str(step.get('type')) for step in pipeline):
        pipeline = [dict(type=LoadImage), dict(type='NumpyToPIL', to_rgb=True),
                    dict(type='PILToNumpy', to_bgr=False), *pipeline]
    return with_checked_images(pipeline)


def loads_images_unchecked(node: Any) -> bool:
    """Whether a part of a config names mmcv's image loading."""
    return any(_is_stock(part.get('type')) for _, part in walk(node))


def complete(dataloader: dict) -> dict:
    """Fix settings that mmengine takes literally.

    Args:
        dataloader (dict): A data loader's config.

    Returns:
        dict: A copy with what mmpretrain's tools add, and without settings that exclude each
        other.
    """
    dataloader = dict(dataloader)
    if current_scope() == 'mmpretrain':
        # mmpretrain's own tools add these to the config.
        defaults = {'persistent_workers': True, 'pin_memory': torch.cuda.is_available(),
                    'collate_fn': {'type': 'default_collate'}}
        dataloader = {**defaults, **dataloader}
    if not dataloader.get('num_workers'):
        dataloader['persistent_workers'] = False
    if 'drop_last' in dataloader and is_seeded(dataloader.get('batch_sampler')):
        # PyTorch leaves it to the batch sampler.
        drop_last = dataloader.pop('drop_last')
        dataloader['batch_sampler'] = {'drop_last': drop_last, **dataloader['batch_sampler']}
    return dataloader


def report_lost_batches(loader: DataLoader) -> DataLoader:
    """Have workers pass on the error of a batch that could not be handed over.

    Python prints it in the worker and drops the batch (mostly because /dev/shm is full), for which
    the training then waits forever.

    Args:
        loader (DataLoader): Not iterated yet.

    Returns:
        DataLoader: The same.
    """
    if loader.num_workers and '_get_iterator' not in vars(loader):
        loader._get_iterator = partial(_iterator, loader)
    return loader


def _iterator(loader: DataLoader) -> Any:
    """Start the workers; worker_init_fn stays what the config names."""
    original = loader.worker_init_fn
    loader.worker_init_fn = partial(_init_worker, original)
    try:
        return type(loader)._get_iterator(loader)
    finally:
        loader.worker_init_fn = original


def _init_worker(original: Callable[[int], None] | None, worker_id: int) -> None:
    # In the worker process only, before it has put anything into a queue.
    send_errors()
    if original is not None:
        original(worker_id)


def _is_stock(kind: object) -> bool:
    return kind is LoadImageFromFile or (
        isinstance(kind, str) and kind.rpartition('.')[2] == LoadImageFromFile.__name__)


def _is_ours(kind: object) -> bool:
    # Another project may have a class of that name.
    return kind is LoadImage or (
        isinstance(kind, str) and kind.rpartition('.')[2] == LoadImage.__name__
        and TRANSFORMS.get(kind) is LoadImage)
