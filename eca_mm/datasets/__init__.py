"""Data sets and image loading that say which file or entry is wrong."""
from .coco import CheckedCocoDataset
from .coco_metric import CheckedCocoMetric
from .loading import LoadImage

__all__ = ['CheckedCocoDataset', 'CheckedCocoMetric', 'LoadImage']
