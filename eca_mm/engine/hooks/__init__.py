"""Hooks that watch over a training run."""
from .checkpoint import SafeCheckpointHook
from .classes import CheckClassesHook
from .invalid_loss import StopOnInvalidLossHook
from .skipped_images import ListSkippedImagesHook
from .val_loss import ValLossHook
from .work_dir import KeepWorkDirHook

__all__ = [
    'CheckClassesHook', 'KeepWorkDirHook', 'ListSkippedImagesHook', 'SafeCheckpointHook',
    'StopOnInvalidLossHook',
    'ValLossHook',
]
