"""COCO annotations that are checked when they are read, not in the middle of a run."""
import difflib
import logging
import os
from collections import Counter
from functools import cached_property

from mmdet.datasets import CocoDataset
from mmdet.datasets.api_wrappers import COCO
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from eca_mm.utils.errors import UserError

from .coco_records import BadRecord, check_annotation, check_category, check_image

# How many image files are looked for: all 118k of train2017 take minutes on a network disk.
PROBED_IMAGES = 16


class CheckedCOCO(COCO):
    """mmdet's COCO index that refuses files it cannot be built from.

    Args:
        annotation_file (str): COCO's instances JSON.

    Raises:
        UserError: If the file is missing, no JSON (cut short, say), or breaks COCO's rules: an
            entry without a field that training needs or with a value that cannot be used (see
            :mod:`eca_mm.datasets.coco_records`), an annotation of a category that the file does
            not list, or an id used twice.
    """

    def __init__(self, annotation_file: str) -> None:
        self.path = annotation_file
        try:
            super().__init__(annotation_file)
        except OSError as error:
            raise UserError(f'Cannot read annotation file {annotation_file}: {error.strerror}; '
                            'check data_root and ann_file of the config.') from error
        except (ValueError, RecursionError) as error:
            raise UserError(f'Annotation file {annotation_file} is no valid JSON ({error}); it may '
                            'be truncated: fetch or write it again.') from error
        except AssertionError as error:
            raise UserError(f'Annotation file {annotation_file} is not in COCO format: a JSON '
                            'object with images, annotations and categories is expected.'
                            ) from error

    def createIndex(self) -> None:  # noqa: N802
        """Check the loaded content, then index it."""
        for part, fields in (('categories', ('id', 'name')),
                             ('images', ('id', 'file_name', 'height', 'width')),
                             ('annotations', ('id', 'image_id', 'category_id', 'bbox', 'area'))):
            # Test sets come without annotations.
            if part != 'annotations' and part not in self.dataset:
                raise UserError(f'Annotation file {self.path} is not in COCO format: it has no '
                                f'{part!r}, only {sorted(self.dataset)}.')
            entries = self.dataset.get(part, [])
            if not isinstance(entries, list):
                raise UserError(f'Annotation file {self.path} is not in COCO format: its {part!r} '
                                f'are no list but a {type(entries).__name__}.')
            for place, entry in enumerate(entries):
                if not isinstance(entry, dict):
                    raise UserError(f'Annotation file {self.path} has an entry that is no object '
                                    f'in {part!r} (place {place}); correct or remove it.')
                lacking = [field for field in fields if field not in entry]
                if lacking:
                    raise UserError(f'Annotation file {self.path} has an entry without '
                                    f'{lacking[0]!r} in {part!r} (its id: {entry.get("id")}); '
                                    'add the field or remove the entry.')
        self._check_entries()
        self._drop_outlines()
        super().createIndex()
        orphans = [ann['id'] for ann in self.dataset.get('annotations', ())
                   if ann['image_id'] not in self.imgs]
        if orphans:
            _warn(f'{self.path}: {len(orphans)} annotations belong to images that the file does '
                  f'not list and are left out (annotations {_some(orphans)}).')

    def _check_entries(self) -> None:
        for image in self.dataset['images']:
            self._judge('image', image, check_image)
        for category in self.dataset['categories']:
            self._judge('category', category, check_category)
        names = [category['name'] for category in self.dataset['categories']]
        if len(set(names)) < len(names):
            twice = [name for name, count in Counter(names).items() if count > 1]
            raise UserError(f'Annotation file {self.path} has several categories of the same '
                            f'name: {_some(twice)}; names must be unique.')
        images = {image['id']: image for image in self.dataset['images']}
        annotations = self.dataset.get('annotations', [])
        for ann in annotations:
            image = images.get(ann['image_id']) if type(ann['image_id']) is int else None
            self._judge('annotation', ann, check_annotation, image)
        known = {category['id'] for category in self.dataset['categories']}
        unknown = Counter(ann['category_id'] for ann in annotations
                          if ann['category_id'] not in known)
        if unknown:
            raise UserError(
                f'Annotation file {self.path} has {sum(unknown.values())} annotations of category '
                f'ids that its categories do not list: {_some(sorted(unknown))}; add '
                'these categories or remove the annotations.')
        for kind, part in (('annotation', annotations), ('image', self.dataset['images']),
                           ('category', self.dataset['categories'])):
            twice = [ident for ident, count in Counter(entry['id'] for entry in part).items()
                     if count > 1]
            if twice:
                raise UserError(f'Annotation file {self.path} uses {len(twice)} {kind} ids more '
                                f'than once: {_some(twice)}; ids must be unique.')

    def _judge(self, kind: str, entry: dict, check, *more) -> None:
        try:
            check(entry, *more)
        except BadRecord as error:
            # An id that cannot be used is not repeated: the message has it.
            ident = f' {entry["id"]}' if type(entry['id']) is int else ''
            raise UserError(f'Annotation file {self.path}: {kind}{ident} has {error}; correct or '
                            'remove it.') from error

    def _drop_outlines(self) -> None:
        """Take out polygons of less than three points, which cover nothing."""
        found = []
        for ann in self.dataset.get('annotations', []):
            mask = ann.get('segmentation')
            if isinstance(mask, list) and any(len(polygon) < 6 for polygon in mask):
                ann['segmentation'] = [polygon for polygon in mask if len(polygon) >= 6]
                found.append(ann['id'])
        if found:
            _warn(f'{self.path}: {len(found)} masks have polygons of less than three points, '
                  f'which are left out (annotations {_some(found)}).')

    def get_cat_ids(self, cat_names=(), sup_names=(), cat_ids=()) -> list:
        """Find category ids by name, in the order of the file.

        Args:
            cat_names (Sequence[str]): Names; all of them must exist.
            sup_names (Sequence[str]): Names of super-categories.
            cat_ids (Sequence[int]): Ids to choose from.

        Returns:
            list[int]: The ids.

        Raises:
            UserError: If the file has no category of one of the names; COCO's own index drops
                such a name silently, and all labels behind it are off by one.
        """
        names = [category['name'] for category in self.dataset['categories']]
        absent = [name for name in cat_names if name not in names]
        if absent:
            near = difflib.get_close_matches(absent[0], names, 1)
            raise UserError(
                f'Annotation file {self.path} has no category for {len(absent)} of the '
                f'{len(cat_names)} classes of the config ({_some(absent)}'
                + (f'; did you mean {near[0]!r}?' if near else '')
                + f'); its categories are {_some(names)}: set metainfo=dict(classes=...) of the '
                'data sets to these names.')
        chosen = [name for name in names if name in cat_names]
        if list(cat_names) != chosen:
            _warn(f'{self.path} lists the categories in another order than the classes of the '
                  f'config; labels are numbered as in the file: {_some(chosen)}.')
        return super().get_cat_ids(list(cat_names), list(sup_names), list(cat_ids))


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
        **kwargs: All arguments of :class:`mmdet.datasets.CocoDataset`.

    Raises:
        UserError: If the annotation file is unusable (see :class:`CheckedCOCO`), lacks one of the
            config's classes, leaves nothing to train on, has no masks but the pipeline needs
            them, if an image's file lies outside of the data root, or if no image is where it
            should be.
    """

    COCOAPI = CheckedCOCO

    def load_data_list(self) -> list:
        """Read and check the annotation file.

        Returns:
            list[dict]: One entry per image, as mmdet defines it.
        """
        self._left_out = {'are degenerate': [], 'lie outside their image': []}
        self._count = 0
        data_list = super().load_data_list()
        if not self.test_mode and not any(data['instances'] for data in data_list):
            raise UserError(f'Annotation file {self.ann_file} has no usable box of the classes '
                            f'{_some(self.metainfo["classes"])}; there is nothing to train on.')
        self._check_masks(data_list)
        self._check_images([data['img_path'] for data in data_list])
        for problem, found in self._left_out.items():
            if found:
                _warn(f'{self.ann_file}: {len(found)} of {self._count} boxes {problem} and are '
                      f'left out (annotations {_some(found)}).')
        return data_list

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
            _warn(f'{self.ann_file}: {len(lacking)} of {len(boxes)} boxes have no mask and are '
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


def _some(values) -> str:
    """Spell out the first five of some values."""
    values = list(values)
    return ', '.join(map(str, values[:5])) + (', ...' if len(values) > 5 else '')


def _warn(message: str) -> None:
    print_log(message, logger='current', level=logging.WARNING)
