"""COCO's index of an annotation file that is checked and tidied before it is built."""
import difflib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from mmdet.datasets.api_wrappers import COCO

from eca_mm.utils.errors import UserError
from eca_mm.utils.listing import some
from eca_mm.utils.regular_files import check_regular
from eca_mm.utils.terminal import printable

from .coco_boxes import check_box_format
from .coco_records import (
    BadRecord,
    check_annotation,
    check_category,
    check_image,
    usable_mask,
)

_PARTS = (('categories', ('id', 'name')),
          ('images', ('id', 'file_name', 'height', 'width')),
          ('annotations', ('id', 'image_id', 'category_id', 'bbox')))


class CheckedCOCO(COCO):
    """mmdet's COCO index that refuses files it cannot be built from.

    Harmless flaws of real files are fixed or left out, and recorded in
    :attr:`left_out`: annotations of images or categories that the file does not list, an image
    that is listed twice, a category that has the name of another and no annotation, and masks of
    which nothing can be rasterised. Whole floats among the ids become integers; an area that is
    not given is that of the box.

    Args:
        annotation_file (str): COCO's instances JSON.

    Attributes:
        left_out (dict[str, list]): Ids of what was left out or fixed, by the reason.

    Raises:
        UserError: If the file is missing, not JSON (cut short, say), or breaks COCO's rules: an
            entry without a field that training needs or with a value that cannot be used (see
            :mod:`eca_mm.datasets.coco_records`), an id used twice, or boxes in another format
            than x, y, width, height in pixels.
    """

    def __init__(self, annotation_file: str) -> None:
        self.path = annotation_file
        self.left_out: dict[str, list] = {}
        try:
            check_regular(annotation_file)
            super().__init__(annotation_file)
        except OSError as error:
            raise UserError(f'Cannot read annotation file {annotation_file}: {error.strerror}; '
                            'check data_root and ann_file of the config.') from error
        except (ValueError, RecursionError) as error:
            raise UserError(f'Annotation file {annotation_file} is not valid JSON ({error}); it '
                            'may be truncated: download or write it again.') from error
        except AssertionError as error:
            raise UserError(f'Annotation file {annotation_file} is not in COCO format: a JSON '
                            'object with images, annotations and categories is expected.'
                            ) from error

    def createIndex(self) -> None:  # noqa: N802
        """Check and tidy the loaded content, then index it."""
        for part, fields in _PARTS:
            self._check_part(part, fields)
        # Files of test sets come without annotations.
        self.dataset.setdefault('annotations', [])
        self._tidy_images()
        self._tidy_annotations()
        self._tidy_categories()
        self._check_ids()
        self._tidy_masks()
        check_box_format(self.dataset['images'], self.dataset['annotations'], self.path)
        super().createIndex()

    def note(self, reason: str, ident: int | str) -> None:
        """Record that something is left out.

        Args:
            reason (str): What and why; counts of the same reason are reported together.
            ident (int | str): Its id.
        """
        self.left_out.setdefault(reason, []).append(ident)

    def _check_part(self, part: str, fields: Sequence[str]) -> None:
        if part not in self.dataset:
            if part == 'annotations':
                return
            raise UserError(f'Annotation file {self.path} is not in COCO format: it has no '
                            f'{part!r}, only {sorted(self.dataset)}.')
        entries = self.dataset[part]
        if not isinstance(entries, list):
            raise UserError(f'Annotation file {self.path} is not in COCO format: its {part!r} '
                            f'are not a list but a {type(entries).__name__}.')
        for place, entry in enumerate(entries):
            if not isinstance(entry, dict):
                raise UserError(f'Annotation file {self.path} has an entry that is not an object '
                                f'in {part!r} (place {place}); correct or remove it.')
            lacking = [field for field in fields if field not in entry]
            if lacking:
                raise UserError(f'Annotation file {self.path} has an entry without '
                                f'{lacking[0]!r} in {part!r} (its id: {entry.get("id")}); '
                                'add the field or remove the entry.')

    def _judge(self, kind: str, entry: dict, check: Callable, *more: dict | None) -> None:
        try:
            check(entry, *more)
        except BadRecord as error:
            # An id that cannot be used is not repeated: the message has it.
            ident = f' {entry["id"]}' if type(entry['id']) is int else ''
            raise UserError(f'Annotation file {self.path}: {kind}{ident} has {error}; correct or '
                            'remove it.') from error

    def _tidy_images(self) -> None:
        for image in self.dataset['images']:
            self._judge('image', image, check_image)
        found: dict = {}
        for image in self.dataset['images']:
            first = found.setdefault(image['id'], image)
            if first is not image and _same_image(first, image):
                self.note('images that the file lists twice', image['id'])
        twice = set(self.left_out.get('images that the file lists twice', ()))
        self.dataset['images'] = [image for image in self.dataset['images']
                                  if image['id'] not in twice or image is found[image['id']]
                                  or not _same_image(image, found[image['id']])]

    def _tidy_annotations(self) -> None:
        images = {image['id']: image for image in self.dataset['images']}
        for category in self.dataset['categories']:
            self._judge('category', category, check_category)
        categories = {category['id'] for category in self.dataset['categories']}
        kept = []
        for ann in self.dataset['annotations']:
            ident = ann['image_id']
            image = images.get(ident) if isinstance(ident, int | float | str) else None
            has_area = ann.get('area') is not None
            if not has_area:
                # Filled in below; until then the check must not stumble over it.
                ann['area'] = 0
            self._judge('annotation', ann, check_annotation, image)
            if not has_area:
                ann['area'] = max(0, ann['bbox'][2]) * max(0, ann['bbox'][3])
                self.note("annotations without 'area' (taken from the box)", ann['id'])
            if image is None:
                self.note('annotations of images that the file does not list', ann['id'])
            elif ann['category_id'] not in categories:
                self.note('annotations of categories that the file does not list', ann['id'])
            else:
                kept.append(ann)
        self.dataset['annotations'] = kept

    def _tidy_categories(self) -> None:
        """Leave out unused categories that have the name of another one."""
        used = {ann['category_id'] for ann in self.dataset['annotations']}
        names = Counter(category['name'] for category in self.dataset['categories'])
        kept = []
        for category in self.dataset['categories']:
            if names[category['name']] > 1 and category['id'] not in used:
                names[category['name']] -= 1
                self.note('categories without annotations that have the name of another one',
                          category['id'])
            else:
                kept.append(category)
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise UserError(f'Annotation file {self.path} has several categories of the same '
                            f'name: {some(twice)}; names must be unique.')
        self.dataset['categories'] = kept

    def _check_ids(self) -> None:
        for kind, part in (('annotation', 'annotations'), ('image', 'images'),
                           ('category', 'categories')):
            counts = Counter(entry['id'] for entry in self.dataset[part])
            twice = [ident for ident, count in counts.items() if count > 1]
            if twice:
                raise UserError(f'Annotation file {self.path} uses {len(twice)} {kind} ids more '
                                f'than once: {some(twice)}; ids must be unique.')

    def _tidy_masks(self) -> None:
        for ann in self.dataset['annotations']:
            if 'segmentation' in ann:
                mask, problem = usable_mask(ann['segmentation'])
                if problem:
                    self.note(f'masks with {problem}', ann['id'])
                if mask is None:
                    del ann['segmentation']
                else:
                    ann['segmentation'] = mask

    def get_cat_ids(self, cat_names: Sequence[str] = (), sup_names: Sequence[str] = (),
                    cat_ids: Sequence[int] = ()) -> list[int]:
        """Find category ids by name, in the order of the names.

        mmdet's own uses the order of the file, so that labels would belong to other names.

        Args:
            cat_names (Sequence[str]): Names; all of them must exist.
            sup_names (Sequence[str]): Names of super-categories.
            cat_ids (Sequence[int]): Ids to choose from.

        Returns:
            list[int]: The ids.

        Raises:
            UserError: If the names are not a list of different names, or if the file has no
                category of one of them; COCO's own index drops such a name silently, and all
                labels behind it are off by one.
        """
        ids = super().get_cat_ids([], list(sup_names), list(cat_ids))
        if not cat_names:
            return ids
        check_names(cat_names)
        found = {category['name']: category['id'] for category in self.dataset['categories']}
        absent = [name for name in cat_names if name not in found]
        if absent:
            near = difflib.get_close_matches(absent[0], found, 1)
            raise UserError(
                f'Annotation file {self.path} has no category for {len(absent)} of the '
                f'{len(cat_names)} classes of the config ({some(absent)}'
                + (f'; did you mean {near[0]!r}?' if near else '')
                + f'); its categories are {some(found)}: set metainfo=dict(classes=...) of the '
                'data sets to these names.')
        return [found[name] for name in cat_names if found[name] in ids]


def check_names(classes: Any, differ: bool = True) -> None:
    """Check the class names of a config.

    Args:
        classes (object): Should be a tuple or list of names.
        differ (bool): Whether labels go by the names, which must then differ. Defaults to True.

    Raises:
        UserError: For one text, as ``classes=('person')`` without the comma is, for what has no
            order, for no names, for a name that is not a text or that comes twice.
    """
    if isinstance(classes, str):
        raise UserError(f'metainfo.classes is the text {classes!r}, of which each letter would be '
                        f'a class; write classes=({classes!r}, ) with a comma.')
    if not isinstance(classes, list | tuple):
        kind = 'None' if classes is None else f'a {type(classes).__name__}'
        raise UserError(f'metainfo.classes is {kind}; labels are numbered by '
                        'the order of the names: write a tuple of them.')
    if not classes:
        raise UserError('metainfo.classes names no class; write a tuple of their names.')
    strange = [name for name in classes if not isinstance(name, str)]
    if strange:
        raise UserError(f'metainfo.classes has the entry {printable(repr(strange[0]))}, which is '
                        'not a text; write a tuple of the names of the classes.')
    twice = [name for name, count in Counter(classes).items() if count > 1]
    if twice and differ:
        raise UserError(f'metainfo.classes names {some(twice)} more than once; each class needs '
                        'its own name.')


def _same_image(one: dict, other: dict) -> bool:
    return all(one[key] == other[key] for key in ('file_name', 'height', 'width'))
