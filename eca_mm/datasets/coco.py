"""COCO annotations that are checked when they are read, not in the middle of a run."""
import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from mmdet.datasets import CocoDataset
from mmengine.registry import DATASETS

from eca_mm.utils.errors import UserError

from .coco_index import CheckedCOCO, some, warn

# How many image files are looked for: all 118k of train2017 take minutes on a network disk.
PROBED_IMAGES = 16


@DATASETS.register_module()
class CheckedCocoDataset(CocoDataset):
    """mmdet's CocoDataset that checks its files once, when it is built.

    No image outside of the data root (or of ``data_prefix['img']``, if that is elsewhere) is
    read, neither by an absolute name nor by ``..`` nor through a link.

    Boxes of no area and boxes outside their image are left out, as mmdet does (COCO itself has a
    few), and so are annotations of images that the file does not list; each kind is counted and
    named once in the log. Where some annotations of a file have masks, those without are ignored
    in training, as mmdet ignores broken masks.

    Args:
        image_ids (Sequence[int] | None): COCO ids of the images to use, in this order; None: all
            images of the file, in its order.
        **kwargs: All arguments of :class:`mmdet.datasets.CocoDataset`.

    Raises:
        UserError: If the annotation file is unusable (see :class:`CheckedCOCO`), lacks one of the
            config's classes or of ``image_ids``, leaves nothing to train on, has no masks but the
            pipeline needs them, if an image's file lies outside of the data root, or if no image
            is where it should be.
    """

    COCOAPI = CheckedCOCO

    def __init__(self, *args: Any, image_ids: Sequence[int] | None = None, **kwargs: Any) -> None:
        self.image_ids = image_ids
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list:
        """Read and check the annotation file.

        Returns:
            list[dict]: One entry per image, as mmdet defines it.
        """
        self._left_out = {'are degenerate': [], 'lie outside their image': []}
        self._count = 0
        data_list = self._chosen(super().load_data_list())
        if not self.test_mode and not any(data['instances'] for data in data_list):
            raise UserError(f'Annotation file {self.ann_file} has no usable box of the classes '
                            f'{some(self.metainfo["classes"])}; there is nothing to train on.')
        self._check_masks(data_list)
        self._check_images([data['img_path'] for data in data_list])
        for problem, found in self._left_out.items():
            if found:
                warn(f'{self.ann_file}: {len(found)} of {self._count} boxes {problem} and are '
                      f'left out (annotations {some(found)}).')
        return data_list

    def _chosen(self, data_list: list) -> list:
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
        image = raw_data_info['raw_img_info']
        for ann in raw_data_info['raw_ann_info']:
            x, y, width, height = ann['bbox']
            self._count += 1
            if ann['area'] <= 0 or width < 1 or height < 1:
                self._left_out['are degenerate'].append(ann['id'])
            elif x >= image['width'] or y >= image['height'] or x + width <= 0 or y + height <= 0:
                self._left_out['lie outside their image'].append(ann['id'])
        if not self._is_inside(image['file_name']):
            raise UserError(
                f'Annotation file {self.ann_file}: image {image["id"]} has the file_name '
                f'{image["file_name"]!r}, which leads out of the data root {self._roots[0]}; '
                'correct it, or set data_root to a folder that holds all images.')
        return super().parse_data_info(raw_data_info)

    @property
    def _roots(self) -> list:
        """Folders that images may be in."""
        prefix = self.data_prefix.get('img', '')
        return [self.data_root or prefix or '.', prefix or '.']

    @property
    def _is_remote(self) -> bool:
        return any('://' in root for root in self._roots)

    @cached_property
    def _real_roots(self) -> tuple:
        return tuple(os.path.join(os.path.realpath(root), '') for root in self._roots)

    def _is_inside(self, name: str) -> bool:
        if self._is_remote:
            return not (os.path.isabs(name) or '://' in name or '..' in name.split('/'))
        path = os.path.abspath(os.path.join(self.data_prefix.get('img', ''), name))
        # What has a scheme would be fetched.
        return '://' not in name and path.startswith(
            tuple(os.path.join(os.path.abspath(root), '') for root in self._roots))

    def prepare_data(self, idx: int) -> dict | None:
        """Load one sample, whose file must be in the data root when links have been followed.

        Args:
            idx (int): Its index.

        Returns:
            dict | None: What the pipeline makes of it.
        """
        info = self.get_data_info(idx)
        path = info['img_path']
        if not (self._is_remote or os.path.realpath(path).startswith(self._real_roots)):
            raise UserError(f'Image {path} is a link that leads out of the data root '
                            f'{self._roots[0]}, to {os.path.realpath(path)}; copy the file, or '
                            'set data_root to a folder that holds it.')
        return self.pipeline(info)

    def _check_masks(self, data_list: list) -> None:
        """Give annotations without mask an empty one, which mmdet's LoadAnnotations ignores."""
        boxes = [box for data in data_list for box in data['instances']]
        lacking = [box for box in boxes if 'mask' not in box]
        if not lacking:
            return
        if len(lacking) < len(boxes):
            warn(f'{self.ann_file}: {len(lacking)} of {len(boxes)} boxes have no mask and are '
                  'ignored where masks are learnt.')
            for box in lacking:
                box['mask'] = []
        elif any(getattr(step, 'with_mask', False) for step in self.pipeline.transforms):
            raise UserError(f'Annotation file {self.ann_file} has boxes, but no masks '
                            "('segmentation') for a model that learns them; use a detector of "
                            'boxes only.')

    def _check_images(self, paths: list) -> None:
        if '://' in self.data_prefix.get('img', ''):
            return
        probed = paths[::max(1, len(paths) // PROBED_IMAGES)]
        if probed and not any(os.path.isfile(path) for path in probed):
            raise UserError(
                f'None of {len(probed)} probed images of {self.ann_file} exists, the first being '
                f'{probed[0]}; check data_root and data_prefix of the config.')
