"""COCO annotations that are checked when they are read, not in the middle of a run."""
import logging
from collections.abc import Sequence
from typing import Any

from mmdet.datasets import CocoDataset
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from eca_mm.compat.data_workers import send_errors_of_worker
from eca_mm.utils.errors import UserError
from eca_mm.utils.listing import some

from .coco_index import CheckedCOCO, check_names
from .image_files import ImageRoots, missing_images

# What a config leaves out on purpose; only beside other reasons it is a warning.
_EMPTY, _OTHERS = 'images without boxes', 'boxes of categories that are not among the classes'


@DATASETS.register_module()
class CheckedCocoDataset(CocoDataset):
    """mmdet's CocoDataset that checks its files once, when it is built.

    Labels are numbered by the names of ``metainfo['classes']``: label 1 is the second name there,
    in whatever order the annotation file lists its categories. (mmdet numbers them by the file
    and keeps the config's names.) :class:`CheckedCocoMetric` evaluates by the same rule.

    No image outside of the data root (or of ``data_prefix['img']``, if that is elsewhere) is
    read, neither by an absolute name nor by ``..`` nor through a link, unless ``allow_outside``
    is set. All images are looked up when the data set is built.

    What cannot be learnt is left out, as mmdet does, and counted with its reason in one line of
    the log: boxes of area 0, less than one pixel wide or high or outside their image, images
    below ``filter_cfg``'s ``min_size`` or without boxes, and what :class:`CheckedCOCO` leaves
    out. Where some annotations of a file have masks, those without are ignored in training, as
    mmdet ignores broken masks.

    Args:
        image_ids (Sequence[int | str] | None): COCO ids of the images to use, in this order;
            None: all images of the file, in its order.
        allow_outside (bool): Whether images may lie outside of the data root.
        **kwargs: All arguments of :class:`mmdet.datasets.CocoDataset`.

    Raises:
        UserError: If the annotation file is unusable (see :class:`CheckedCOCO`), lacks one of the
            config's classes or of ``image_ids``, leaves nothing to train on, has no masks but the
            pipeline needs them, if an image's file lies outside of the data root, or if no image
            is where it should be.
    """

    COCOAPI = CheckedCOCO
    # compat.data_sets does it for mmdet's own.
    reports_left_out = True

    def __init__(self, *args: Any, image_ids: Sequence[int | str] | None = None,
                 allow_outside: bool = False, **kwargs: Any) -> None:
        self.image_ids, self.allow_outside = image_ids, allow_outside
        self._roots: Any = None
        self._left_out: dict[str, list] = {}
        super().__init__(*args, **kwargs)

    @classmethod
    def _load_metainfo(cls, metainfo: dict | None = None) -> dict:
        found = super()._load_metainfo(metainfo)
        # A text is what mmengine leaves of one that does not name a file of names.
        check_names(found.get('classes'))
        return found

    def load_data_list(self) -> list[dict]:
        """Read and check the annotation file.

        Returns:
            list[dict]: One entry per image, as mmdet defines it.
        """
        self._left_out, self._boxes = {}, 0
        self._roots = ImageRoots(self.data_root or '', self.data_prefix.get('img', ''),
                                 self.allow_outside)
        data_list = self._chosen(super().load_data_list())
        if not self.test_mode and not any(
                not box['ignore_flag'] for data in data_list for box in data['instances']):
            raise UserError(f'Annotation file {self.ann_file} has no usable box of the classes '
                            f'{some(self.metainfo["classes"])}, so there is nothing to train on: '
                            f'{self._summary() or self._no_boxes(data_list)}.')
        self._check_masks(data_list)
        absent = self._roots.check_files([data['img_path'] for data in data_list], self.ann_file)
        if absent:
            _warn(f'{missing_images(absent, len(data_list), self.ann_file)}.')
        return data_list

    def _chosen(self, data_list: list[dict]) -> list[dict]:
        if self.image_ids is None:
            return data_list
        by_id = {data['img_id']: data for data in data_list}
        absent = [ident for ident in self.image_ids if ident not in by_id]
        if absent:
            raise UserError(f'Annotation file {self.ann_file} has no image for {len(absent)} of '
                            f'the {len(self.image_ids)} image_ids ({some(absent)}); name ids '
                            'of its images.')
        return [by_id[ident] for ident in self.image_ids]

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Convert one image's annotations as mmdet does, and note the boxes it leaves out.

        Args:
            raw_data_info (dict): ``raw_img_info`` and ``raw_ann_info`` from the COCO index.

        Returns:
            dict: The image's entry, as mmdet defines it.
        """
        # The index goes when all is read, its notes stay.
        self._left_out = self.coco.left_out
        image = raw_data_info['raw_img_info']
        for ann in raw_data_info['raw_ann_info']:
            self._boxes += 1
            problem = (box_problem(ann, image) if ann['category_id'] in self.cat2label
                       else _OTHERS)
            if problem:
                self._note(problem, ann['id'])
        if not self._roots.contains(image['file_name']):
            raise UserError(
                f'Annotation file {self.ann_file}: image {image["id"]} has the file_name '
                f'{image["file_name"]!r}, which leads out of the data root {self._roots.name}; '
                'correct it, set data_root to a folder that holds all images, or set '
                'allow_outside=True of the data set.')
        return super().parse_data_info(raw_data_info)

    def filter_data(self) -> list[dict]:
        """Leave out images by ``filter_cfg`` as mmdet does, and log all that is left out.

        Returns:
            list[dict]: The entries that stay.

        Raises:
            UserError: If none stays.
        """
        kept = super().filter_data()
        stays = {data['img_id'] for data in kept}
        smallest = (self.filter_cfg or {}).get('min_size', 0)
        for data in self.data_list:
            if data['img_id'] not in stays:
                too_small = min(data['width'], data['height']) < smallest
                self._note(f'images with a side below {smallest} pixels (min_size of filter_cfg)'
                           if too_small else _EMPTY, data['img_id'])
        if self.data_list and not kept:
            raise UserError(f'None of the {len(self.data_list)} images of {self.ann_file} is left '
                            f'to train on: {self._summary()}.')
        if self._left_out:
            level = logging.INFO if set(self._left_out) <= {_EMPTY, _OTHERS} else logging.WARNING
            print_log(f'{self.ann_file}, {len(self.data_list)} images and {self._boxes} boxes: '
                      f'left out or fixed are {self._summary()}.', 'current', level)
        return kept

    def prepare_data(self, idx: int) -> dict | None:
        """Load one sample, whose file must be in the data root when links have been followed.

        Args:
            idx (int): Its index.

        Returns:
            dict | None: What the pipeline makes of it.
        """
        send_errors_of_worker()
        info = self.get_data_info(idx)
        self._roots.check_links(info['img_path'])
        return self.pipeline(info)

    def _note(self, reason: str, ident: int | str) -> None:
        self._left_out.setdefault(reason, []).append(ident)

    def _summary(self) -> str:
        return '; '.join(f'{len(found)} {reason} ({some(found)})'
                         for reason, found in self._left_out.items())

    def _no_boxes(self, data_list: list[dict]) -> str:
        crowds = sum(len(data['instances']) for data in data_list)
        if crowds:
            return f'all {crowds} boxes are crowds (iscrowd), which are not learnt'
        return f'it lists {len(data_list)} images and {self._boxes} boxes'

    def _check_masks(self, data_list: list[dict]) -> None:
        """Give annotations without mask an empty one, which mmdet's LoadAnnotations ignores."""
        boxes = [box for data in data_list for box in data['instances']]
        lacking = [box for box in boxes if 'mask' not in box]
        if not lacking or not any(getattr(step, 'with_mask', False)
                                  for step in self.pipeline.transforms):
            return
        if len(lacking) == len(boxes):
            raise UserError(f'Annotation file {self.ann_file} has boxes, but no masks that '
                            "can be used ('segmentation') for a model that learns them; use a "
                            'detector of boxes only.')
        _warn(f'{self.ann_file}: {len(lacking)} of {len(boxes)} boxes have no usable mask and are '
              'ignored where masks are learnt.')
        for box in lacking:
            box['mask'] = []


def box_problem(annotation: dict, image: dict) -> str:
    """Say why mmdet leaves a box out.

    Args:
        annotation (dict): A checked entry of ``annotations``.
        image (dict): Its image's entry.

    Returns:
        str: The reason as part of a list, an empty string for a box that stays.
    """
    x, y, width, height = annotation['bbox']
    if annotation['area'] <= 0:
        return 'boxes of area 0'
    if width < 1 or height < 1:
        return 'boxes narrower or lower than 1 pixel'
    if x >= image['width'] or y >= image['height'] or x + width <= 0 or y + height <= 0:
        return 'boxes outside their image'
    return ''


def _warn(message: str) -> None:
    print_log(message, 'current', logging.WARNING)
