"""Predictions of a trained model for single images."""
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DATASETS, init_default_scope
from mmengine.structures import BaseDataElement

from eca_mm.analysis import build_model
from eca_mm.datasets.class_checks import head_numbers, panoptic_numbers
from eca_mm.datasets.loading import LoadImage
from eca_mm.deploy.metadata import load_weights
from eca_mm.engine.config import scope
from eca_mm.utils.listing import some
from eca_mm.utils.terminal import printable

from .drawing import Drawer
from .fonts import legible_names
from .images import test_pipeline


@dataclass(frozen=True)
class Prediction:
    """Prediction of a model for one image.

    Attributes:
        image (np.ndarray): The image, BGR of shape (H, W, 3), uint8.
        sample (BaseDataElement): mmdet's or mmpretrain's own result.
        found (list[dict]): From the highest score on ``class`` (name), ``label`` (its number),
            ``score`` and, of a detector, ``bbox``: left, top, right and bottom in pixels.
    """

    image: np.ndarray
    sample: BaseDataElement
    found: list[dict[str, Any]]


class Predictor:
    """A classifier or detector with the weights and classes of a checkpoint.

    Args:
        config (Config): Its config; the test pipeline prepares the images.
        checkpoint (str): The checkpoint, which must fit; averaged weights (EMA) are preferred.
        device (str): Where it runs. Defaults to ``'cpu'``.
        score_thr (float): Lowest score of boxes to report and to draw. Defaults to 0.3.

    Raises:
        UserError: If the checkpoint is broken or of another model.
    """

    def __init__(self, config: Config, checkpoint: str, device: str = 'cpu',
                 score_thr: float = .3) -> None:
        init_default_scope(scope(config))
        self.detects, self.score_thr = scope(config) == 'mmdet', score_thr
        self.model = build_model(config)
        meta = load_weights(self.model, checkpoint)
        self.model.to(device)
        known = _known(meta.get('dataset_meta')) or _known(_dataset_meta(config)) or {}
        names = known.get('classes') or ()
        self.classes = [str(name) for name in ([names] if isinstance(names, str) else names)]
        drawn, self.notes = legible_names(self.classes)
        self.notes += self._mismatches(known)
        if not self.classes:
            self.notes.append('Neither the checkpoint nor the config names the classes; they are '
                              'shown by number.')
        self.drawer = Drawer(self.detects, drawn or None, known.get('palette'), score_thr)
        first, *rest = test_pipeline(config)
        self.load = LoadImage(**{key: value for key, value in first.items() if key != 'type'})
        self.prepare = Compose(rest)

    def _mismatches(self, known: dict) -> Iterator[str]:
        """Heads that tell another number of classes apart than there are names."""
        numbers = {len(self.classes), *panoptic_numbers(SimpleNamespace(metainfo=known))}
        for where, number in head_numbers(self.model) if self.classes else ():
            if number not in numbers:
                yield (f'model.{where} tells {number} classes apart, but there are names of '
                       f'{len(self.classes)} ({some(self.classes)}): they may be those of other '
                       'classes.')

    def predict(self, path: str) -> Prediction:
        """Predict for an image file.

        Args:
            path (str): The file.

        Returns:
            Prediction: The model's prediction.

        Raises:
            UserError: If the file is missing, damaged, too large or not an image.
        """
        return self._predict(self.load(dict(img_path=path, img_id=0, gt_label=0)))

    def predict_frame(self, frame: np.ndarray, name: str) -> Prediction:
        """Predict for an image in memory.

        Args:
            frame (np.ndarray): BGR of shape (H, W, 3), uint8.
            name (str): What to call it.

        Returns:
            Prediction: The model's prediction.
        """
        image = frame
        if 'gray' in self.load.color_type:
            image = mmcv.bgr2gray(frame, keepdim=True)
        image = image.astype(np.float32) if self.load.to_float32 else image
        return self._predict(dict(img=image, img_path=name, img_id=0, gt_label=0,
                                  img_shape=image.shape[:2], ori_shape=image.shape[:2]))

    def draw(self, prediction: Prediction) -> np.ndarray:
        """Draw a prediction into its image.

        Args:
            prediction (Prediction): What to draw.

        Returns:
            np.ndarray: RGB, uint8.
        """
        return self.drawer.draw(prediction.image[..., ::-1], prediction.sample, truth=False)

    def _predict(self, loaded: dict) -> Prediction:
        image = _as_colour(loaded['img'])
        with torch.no_grad():
            sample, = self.model.test_step(pseudo_collate([self.prepare(loaded)]))
        sample = sample.cpu()
        return Prediction(image, sample,
                          self._boxes(sample) if self.detects else self._scores(sample))

    def _boxes(self, sample: BaseDataElement) -> list[dict[str, Any]]:
        found = sample.pred_instances
        entries = [dict(self._class(int(label)), score=float(score),
                        bbox=[round(float(side), 2) for side in box])
                   for label, score, box in zip(found.labels, found.scores, found.bboxes,
                                                strict=True) if score >= self.score_thr]
        return sorted(entries, key=lambda entry: -entry['score'])

    def _scores(self, sample: BaseDataElement, most: int = 5) -> list[dict[str, Any]]:
        scores, labels = sample.pred_score.topk(min(most, len(sample.pred_score)))
        return [dict(self._class(int(label)), score=float(score))
                for score, label in zip(scores, labels, strict=True)]

    def _class(self, label: int) -> dict[str, Any]:
        name = self.classes[label] if label < len(self.classes) else f'class {label}'
        return {'class': name, 'label': label}


def summary(found: list[dict[str, Any]], most: int | None = None) -> str:
    """Say in one line what was found.

    Args:
        found (list[dict]): As :class:`Prediction` has it.
        most (int, optional): How many to name. Defaults to all.

    Returns:
        str: ``cat 0.98, dog 0.57``, or ``nothing``.
    """
    named = (f'{printable(entry["class"], 60)} {entry["score"]:.2f}' for entry in found[:most])
    return ', '.join(named) or 'nothing'


def _as_colour(image: np.ndarray) -> np.ndarray:
    """Three channels of uint8, whatever the model takes."""
    image = image[..., None] if image.ndim == 2 else image
    if image.shape[2] != 3:
        image = image[..., :3] if image.shape[2] > 3 else image[..., :1].repeat(3, 2)
    return np.ascontiguousarray(image.clip(0, 255).astype(np.uint8))


def _known(meta: object) -> dict[str, Any]:
    """The entries of a data set's description, where it names classes."""
    meta = {str(key).lower(): value for key, value in meta.items()} if isinstance(
        meta, dict) else {}
    return meta if meta.get('classes') else {}


def _dataset_meta(config: Config) -> dict[str, Any]:
    """The classes according to the config or the class of its data set."""
    loader = config.get('test_dataloader') or config.get('val_dataloader') or {}
    dataset = loader.get('dataset') or {}
    while 'dataset' in dataset and 'metainfo' not in dataset:
        dataset = dataset['dataset']
    kind = DATASETS.get(dataset['type']) if isinstance(dataset.get('type'), str) else None
    stated = dataset.get('metainfo')
    return {**(getattr(kind, 'METAINFO', None) or {}),
            **(dict(stated) if isinstance(stated, dict) else {})}
