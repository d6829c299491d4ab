"""Predictions drawn into pictures by the visualizers of MMDetection and MMPretrain."""
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from mmdet.visualization import DetLocalVisualizer
from mmengine.structures import BaseDataElement
from mmpretrain.visualization import UniversalVisualizer

from eca_mm.compat.drawing import drawing_in_every_process
from eca_mm.utils.atomic_files import write_atomically

# What OpenCV writes; pictures of other formats become PNGs.
_WRITTEN = {'.jpg', '.jpeg', '.jpe', '.png', '.bmp', '.webp', '.tif', '.tiff'}


class Drawer:
    """Draws what a model predicts for images.

    Args:
        detects (bool): Whether the model is a detector; else it is a classifier.
        classes (list[str] | None): Names of the classes, as they are to be drawn.
        palette (list | None): Colours of the classes, as in a data set's ``metainfo``.
        score_thr (float): Lowest score of boxes and masks to draw. Defaults to 0.3.
    """

    def __init__(self, detects: bool, classes: list[str] | None, palette: list | None = None,
                 score_thr: float = .3) -> None:
        self.detects, self.score_thr, self.classes = detects, score_thr, classes
        with drawing_in_every_process():
            self.visualizer = DetLocalVisualizer() if detects else UniversalVisualizer()
        self.palette = palette

    def draw(self, image: np.ndarray, sample: BaseDataElement, truth: bool = True) -> np.ndarray:
        """Draw one image.

        Args:
            image (np.ndarray): RGB of shape (H, W, 3), uint8.
            sample (BaseDataElement): The prediction, in the size of the image.
            truth (bool): Whether to draw the ground truth, where the sample has it: beside the
                prediction of a detector, above that of a classifier. Defaults to True.

        Returns:
            np.ndarray: RGB, uint8.
        """
        image = np.ascontiguousarray(image)
        self._name_labels(sample)
        with drawing_in_every_process(), warnings.catch_warnings():
            # Of boxes and text that reach beyond a small picture.
            warnings.simplefilter('ignore', UserWarning)
            if not self.detects:
                # Text of a fixed size needs a picture of some size.
                resize = 224 if min(image.shape[:2]) < 224 else None
                return self.visualizer.visualize_cls(
                    image, sample, classes=self.classes, draw_gt=truth, resize=resize)
            self.visualizer.add_datasample(
                '', image, sample, draw_gt=truth and 'gt_instances' in sample,
                pred_score_thr=self.score_thr)
            return self.visualizer.get_image()


    def _name_labels(self, sample: BaseDataElement) -> None:
        """Names and colours for all labels of a sample, also where a data set gives fewer."""
        number = max([len(self.classes or ()), *(int(labels.max()) + 1 for labels in _labels(sample)
                                                 if labels.numel())])
        if self.classes is not None:
            self.classes = [*self.classes, *(
                f'class {label}' for label in range(len(self.classes), number))]
        # Without one mmdet takes colours of its own.
        short = isinstance(self.palette, list | tuple) and len(self.palette) < number
        self.visualizer.dataset_meta = dict(
            classes=self.classes, palette=None if short else self.palette)


def _labels(sample: BaseDataElement) -> Iterator[torch.Tensor]:
    for name in ('pred_instances', 'gt_instances'):
        if name in sample and 'labels' in sample.get(name):
            yield sample.get(name).labels
    for name in ('pred_label', 'gt_label'):
        if name in sample:
            yield sample.get(name)


def picture_name(path: str) -> str:
    """Name the picture of an image: the same, with ``.png`` appended if it cannot be written so."""
    return path if os.path.splitext(path)[1].lower() in _WRITTEN else f'{path}.png'


def write_picture(image: np.ndarray, path: str | Path) -> None:
    """Write a picture, whole or not at all.

    Args:
        image (np.ndarray): RGB of shape (H, W, 3), uint8.
        path (str | Path): File with an ending as :func:`picture_name` gives it.

    Raises:
        OSError: If it cannot be written.
    """
    suffix = os.path.splitext(path)[1].lower()
    _, data = cv2.imencode(suffix, image[..., ::-1])
    write_atomically(data.tobytes(), path)
