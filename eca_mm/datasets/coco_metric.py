"""COCO's average precision for labels that are numbered by the names of the classes."""
import contextlib
import io
import os
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from mmdet.datasets.api_wrappers import COCO
from mmdet.evaluation import CocoMetric
from mmengine.fileio import dump, get_local_path, load
from mmengine.logging import print_log
from mmengine.registry import METRICS

from eca_mm.utils.errors import UserError
from eca_mm.utils.listing import some

from .coco_index import CheckedCOCO, check_names


class _Index(COCO):
    """COCO's index of the annotations of one evaluation, or of the predictions."""


    def __init__(self, content: dict) -> None:
        super().__init__()
        self.dataset = content
        with contextlib.redirect_stdout(io.StringIO()):
            self.createIndex()

    def loadRes(self, resFile: list) -> COCO:  # noqa: N802, N803
        """Load predictions; without any, AP is 0."""
        if resFile:
            return super().loadRes(resFile)
        return _Index({**self.dataset, 'annotations': []})


@METRICS.register_module()
class CheckedCocoMetric(CocoMetric):
    """mmdet's CocoMetric for the labels of :class:`CheckedCocoDataset`.

    - Labels are numbered by the names of the data set's classes, not by the order of the
      annotation file.
    - Only the images that were predicted count: AP on a part of the data (``indices`` of the data
      set) is AP of that part.
    - The annotation file is checked when the metric is built, before any training. Ids in it may
      be anything that :class:`CheckedCOCO` accepts; pycocotools takes an annotation of id 0 for an
      object that was not found.
    - Annotations without a usable mask are ignored where masks are evaluated, as in training.
    - Without any detection AP is 0.
    - With ``classwise=True`` the figures of the classes come last, so that ``save_best='auto'``
      means ``coco/bbox_mAP``.

    Args:
        ann_file (str, optional): COCO's instances JSON. The annotations of the data samples are
            used when None.
        **kwargs: All other arguments of :class:`mmdet.evaluation.CocoMetric`.

    Raises:
        UserError: If the annotation file is unusable, or has nothing that could be found or, for
            ``metric='segm'``, no masks.
    """

    cat_ids: Any
    img_ids: Any

    def __init__(self, ann_file: str | None = None, *args, **kwargs) -> None:
        super().__init__(None, *args, **kwargs)
        self.ann_file = ann_file
        self._original_ids: tuple[list, list] = [], []
        if ann_file is not None:
            with (get_local_path(ann_file, backend_args=self.backend_args) as path,
                  contextlib.redirect_stdout(io.StringIO())):
                self._coco_api = CheckedCOCO(path)
            self._check_ground_truth()

    @property
    def dataset_meta(self) -> Any:
        """Meta information of the data set; its classes must be in the annotation file."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        self._dataset_meta = dataset_meta
        if dataset_meta and dataset_meta.get('classes') is not None:
            check_names(dataset_meta['classes'])
            if self._coco_api is not None:
                # Refused now, not after an epoch of training.
                self._coco_api.get_cat_ids(dataset_meta['classes'])

    def _check_ground_truth(self) -> None:
        if self.format_only:
            return
        annotations = self._coco_api.dataset['annotations']
        if not any(not ann.get('iscrowd') for ann in annotations):
            raise UserError(
                f'Annotation file {self.ann_file} has nothing to find, '
                + (f'all of its {len(annotations)} annotations are crowds'
                   if annotations else 'it has no annotations')
                + ", so average precision is not defined; give the evaluator another file, or use "
                'format_only=True with outfile_prefix to write predictions only.')
        if 'segm' in self.metrics and not any('segmentation' in ann for ann in annotations):
            raise UserError(f'Annotation file {self.ann_file} has no masks that can be '
                            "evaluated ('segmentation'); use metric='bbox'.")

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the metrics of all images that were predicted.

        Args:
            results (list): Pairs of ground truth and prediction, one per image.

        Returns:
            dict[str, float]: Figures by name, those of single classes last.
        """
        content = self._content([truth for truth, _ in results])
        images = list(dict.fromkeys(prediction['img_id'] for _, prediction in results))
        known = {image['id']: image for image in content['images']}
        strange = [ident for ident in images if ident not in known]
        if strange:
            raise UserError(f'Annotation file {self.ann_file} of the evaluator does not list '
                            f'{len(strange)} of {len(images)} images of the data set (ids '
                            f'{some(strange)}); give both the same file.')
        number = {ident: place for place, ident in enumerate(images, 1)}
        by_name = {category['name']: category['id'] for category in content['categories']}
        categories = [by_name[name] for name in self.dataset_meta['classes']]
        numbered = [(truth, {**prediction, 'img_id': number[prediction['img_id']]})
                    for truth, prediction in results]
        whole, metrics, found = self._coco_api, self.metrics, OrderedDict()
        self._original_ids = images, categories
        self.cat_ids = list(range(1, len(categories) + 1))
        self.img_ids = list(number.values())
        try:
            for metric in sorted(metrics, key=lambda name: name != 'bbox'):
                self.metrics = [metric]
                self._coco_api = _Index(self._renumbered(content, known, metric == 'segm'))
                found.update(super().compute_metrics(numbered))
        finally:
            self._coco_api, self.metrics, self.cat_ids, self.img_ids = whole, metrics, None, None
        return OrderedDict(sorted(found.items(), key=lambda item: item[0].endswith('_precision')))

    def _content(self, truths: Sequence[dict]) -> dict:
        """The annotation file, or the ground truth of the data samples."""
        if self._coco_api is not None:
            self._coco_api.get_cat_ids(self.dataset_meta['classes'])
            return self._coco_api.dataset
        with tempfile.TemporaryDirectory() as folder:
            content = load(self.gt_to_coco_json(truths, os.path.join(folder, 'truth')))
        content.setdefault('annotations', [])
        return content

    def _renumbered(self, content: dict, known: dict, masks: bool) -> dict:
        """Ground truth with ids from 1 on: of images, of classes in their order, of annotations."""
        images, categories = self._original_ids
        image_ids = {ident: place for place, ident in enumerate(images, 1)}
        category_ids = {ident: place for place, ident in enumerate(categories, 1)}
        annotations: list[dict] = []
        lacking = 0
        for ann in content['annotations']:
            if ann['image_id'] not in image_ids or ann['category_id'] not in category_ids:
                continue
            entry = {**ann, 'id': len(annotations) + 1, 'iscrowd': int(ann.get('iscrowd') or 0),
                     'image_id': image_ids[ann['image_id']],
                     'category_id': category_ids[ann['category_id']]}
            if masks and 'segmentation' not in entry:
                # Not counted either way, like a crowd.
                lacking += 1
                x, y, width, height = ann['bbox']
                entry.update(iscrowd=1, segmentation=[[
                    x, y, x + width, y, x + width, y + height, x, y + height]])
            annotations.append(entry)
        if lacking:
            print_log(f'{lacking} of {len(annotations)} annotations have no usable mask and are '
                      'ignored in the evaluation of masks.', 'current')
        return {
            'images': [{**known[ident], 'id': place} for ident, place in image_ids.items()],
            'annotations': annotations,
            'categories': [{'id': place, 'name': name}
                           for place, name in enumerate(self.dataset_meta['classes'], 1)]}

    def results2json(self, results: Sequence[dict], outfile_prefix: str) -> dict[str, str]:
        """Write the predictions in COCO's format.

        Args:
            results (Sequence[dict]): Predictions.
            outfile_prefix (str): How the files' paths begin. The user's own files get the ids of
                the annotation file, those of the evaluation the ids that it counts by.

        Returns:
            dict[str, str]: Paths by kind.
        """
        files = super().results2json(results, outfile_prefix)
        if self.outfile_prefix is None:
            return files
        images, categories = self._original_ids
        for path in set(files.values()):
            predictions = load(path)
            for entry in predictions:
                entry['image_id'] = images[entry['image_id'] - 1]
                entry['category_id'] = categories[entry['category_id'] - 1]
            dump(predictions, path)
        self._scratch = tempfile.TemporaryDirectory()
        return super().results2json(results, os.path.join(self._scratch.name, 'results'))
