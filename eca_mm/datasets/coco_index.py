"""The index of a COCO file, which refuses what cannot be used and says what is wrong with it."""
import difflib
import logging
from collections import Counter
from collections.abc import Iterable

from mmdet.datasets.api_wrappers import COCO
from mmengine.logging import print_log

from eca_mm.utils.errors import UserError

from .coco_records import BadRecord, check_annotation, check_category, check_image


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
            warn(f'{self.path}: {len(orphans)} annotations belong to images that the file does '
                  f'not list and are left out (annotations {some(orphans)}).')

    def _check_entries(self) -> None:
        for image in self.dataset['images']:
            self._judge('image', image, check_image)
        for category in self.dataset['categories']:
            self._judge('category', category, check_category)
        names = [category['name'] for category in self.dataset['categories']]
        if len(set(names)) < len(names):
            twice = [name for name, count in Counter(names).items() if count > 1]
            raise UserError(f'Annotation file {self.path} has several categories of the same '
                            f'name: {some(twice)}; names must be unique.')
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
                f'ids that its categories do not list: {some(sorted(unknown))}; add '
                'these categories or remove the annotations.')
        for kind, part in (('annotation', annotations), ('image', self.dataset['images']),
                           ('category', self.dataset['categories'])):
            twice = [ident for ident, count in Counter(entry['id'] for entry in part).items()
                     if count > 1]
            if twice:
                raise UserError(f'Annotation file {self.path} uses {len(twice)} {kind} ids more '
                                f'than once: {some(twice)}; ids must be unique.')

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
            warn(f'{self.path}: {len(found)} masks have polygons of less than three points, '
                  f'which are left out (annotations {some(found)}).')

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
                f'{len(cat_names)} classes of the config ({some(absent)}'
                + (f'; did you mean {near[0]!r}?' if near else '')
                + f'); its categories are {some(names)}: set metainfo=dict(classes=...) of the '
                'data sets to these names.')
        chosen = [name for name in names if name in cat_names]
        if list(cat_names) != chosen:
            warn(f'{self.path} lists the categories in another order than the classes of the '
                  f'config; labels are numbered as in the file: {some(chosen)}.')
        return super().get_cat_ids(list(cat_names), list(sup_names), list(cat_ids))


def some(values: Iterable) -> str:
    """Spell out the first five of some values."""
    values = list(values)
    return ', '.join(map(str, values[:5])) + (', ...' if len(values) > 5 else '')


def warn(message: str) -> None:
    """Log a warning."""
    print_log(message, logger='current', level=logging.WARNING)
