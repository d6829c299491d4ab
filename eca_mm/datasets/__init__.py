"""Data sets and image loading that say which file or entry is wrong."""
from .cifar import CheckedCIFAR10
from .coco import CheckedCocoDataset
from .coco_metric import CheckedCocoMetric
from .event_frame import EventFrameDataset
from .event_frame_metric import EventDetectionMetric
from .event_frame_preprocessor import EventFramePreprocessor
from .event_frame_transforms import EventsToVoxelGrid, LoadEvents, StackEvents
from .loading import LoadImage

__all__ = [
    'CheckedCIFAR10', 'CheckedCocoDataset', 'CheckedCocoMetric', 'EventDetectionMetric',
    'EventFrameDataset', 'EventFramePreprocessor', 'EventsToVoxelGrid', 'LoadEvents', 'LoadImage',
    'StackEvents'
]
