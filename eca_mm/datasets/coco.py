"""COCO annotations that are checked when they are read, not in the middle of a run."""
import difflib
import logging
import os
from collections import Counter

from mmdet.datasets import CocoDataset
from mmdet.datasets.api_wrappers import COCO
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from ..compat import UserError

# How many image files are looked for: all 118k of train2017 take minutes on a network disk.
PROBED_IMAGES = 16


class CheckedCOCO(COCO):
    """mmdet's COCO index that refuses files it cannot be built from.

    Args:
        annotation_file (str): COCO's instances JSON.

    Raises:
        UserError: If the file is missing, no JSON (cut short, say), or breaks COCO's rules: an
            entry without a field that training needs, an annotation of a category that the file
            does not list, or an annotation id used twice.
    """

    def __init__(self, annotation_file: str) -> None:
        self.path = annotation_file
        try:
            super().__init__(annotation_file)
        except OSError as error:
            raise UserError(f'Cannot read annotation file {annotation_file}: {error.strerror}; '
                            'check data_root and ann_file of the config.') from error
        except ValueError as error:
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
            for entry in self.dataset.get(part, ()):
                lacking = [field for field in fields if field not in entry]
                if lacking:
                    raise UserError(f'Annotation file {self.path} has an entry without '
                                    f'{lacking[0]!r} in {part!r} (its id: {entry.get("id")}); '
                                    'add the field or remove the entry.')
        self._check_annotations()
        super().createIndex()
        orphans = [ann['id'] for ann in self.dataset.get('annotations', ())
                   if ann['image_id'] not in self.imgs]
        if orphans:
            _warn(f'{self.path}: {len(orphans)} annotations belong to images that the file does '
                  f'not list and are left out (annotations {_some(orphans)}).')

    def _check_annotations(self) -> None:
        annotations = self.dataset.get('annotations', ())
        known = {category['id'] for category in self.dataset['categories']}
        unknown = Counter(ann['category_id'] for ann in annotations
                          if ann['category_id'] not in known)
        if unknown:
            raise UserError(
                f'Annotation file {self.path} has {sum(unknown.values())} annotations of category '
                f'ids that its categories do not list: {_some(sorted(unknown, key=str))}; add '
                'these categories or remove the annotations.')
        twice = [ident for ident, count in Counter(ann['id'] for ann in annotations).items()
                 if count > 1]
        if twice:
            raise UserError(f'Annotation file {self.path} uses {len(twice)} annotation ids more '
                            f'than once: {_some(twice)}; ids must be unique.')
        for ann in annotations:
            if len(ann['bbox']) != 4:
                raise UserError(f'Annotation file {self.path}: annotation {ann["id"]} has the box '
                                f'{ann["bbox"]}; four numbers x, y, width, height are expected.')

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

    Boxes of no area and boxes outside their image are left out, as mmdet does (COCO itself has a
    few), and so are annotations of images that the file does not list; each kind is counted and
    named once in the log.

    Args:
        **kwargs: All arguments of :class:`mmdet.datasets.CocoDataset`.

    Raises:
        UserError: If the annotation file is unusable (see :class:`CheckedCOCO`), lacks one of the
            config's classes, leaves nothing to train on, or if no image is where it should be.
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
        return super().parse_data_info(raw_data_info)

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
