"""Data sets of mmdet and mmpretrain that say what they leave out, and label folders by name."""
import difflib
import functools
import logging
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from eca_mm.utils.errors import UserError
from eca_mm.utils.listing import some

from .label_files import check_label_files, check_list, count_left_out
from .voc_files import describe, take_out_bad_boxes

# What systems and programs leave beside the folders of classes.
_HIDDEN = ('__MACOSX', '__pycache__', '@eaDir', 'lost+found')
# Annotation files of VOC that are read to learn which names they use.
_READ = 2000


def is_hidden(name: str) -> bool:
    """Whether a folder beside those of classes is not meant to be one.

    Args:
        name (str): Its name.

    Returns:
        bool: True for ``.ipynb_checkpoints``, ``__MACOSX`` and similar.
    """
    return name.startswith('.') or name in _HIDDEN


def label_folders_by_name() -> None:
    """Let mmpretrain's ``CustomDataset`` number classes by the config's names.

    It numbers the folders in alphabetical order, an order of names in the config
    notwithstanding, and takes hidden folders such as ``.ipynb_checkpoints`` for classes. Where
    the names are others than the folders', as ImageNet's are, they keep the order of the folders.
    """
    from mmpretrain.datasets import custom

    find_folders, find_samples = custom.find_folders, custom.CustomDataset._find_samples
    if hasattr(find_samples, '__wrapped__'):
        return

    def without_hidden(root: str, backend: Any = None) -> tuple[list[str], dict[str, int]]:
        folders, _ = find_folders(root, backend)
        hidden = [name for name in folders if is_hidden(name)]
        if hidden:
            print_log(f'Hidden folders of {root} are left out, they are not classes: '
                      f'{some(hidden)}.', 'current', logging.WARNING)
        shown = [name for name in folders if name not in hidden]
        return shown, {name: index for index, name in enumerate(shown)}

    @functools.wraps(find_samples)
    def by_name(self: Any) -> list:
        check_list(self)
        folders = without_hidden(self.img_prefix)[0] if self.with_label else []
        names = list(self.CLASSES or ())
        if not set(names) & set(folders):
            if self.with_label and names and len(names) != len(folders):
                raise UserError(f'{self.img_prefix} has {len(folders)} folders of classes '
                                f'({some(folders, 20)}), but the config names {len(names)} classes '
                                f'({some(names, 20)}); correct metainfo=dict(classes=...).')
            _check_spelling(self.img_prefix, folders, names)
            return count_left_out(lambda: find_samples(self), self)
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UserError(f'The config names the classes {some(twice)} more than once, but '
                            f'labels go by the folders of these names in {self.img_prefix}; '
                            'correct metainfo=dict(classes=...).')
        strange = [name for name in folders if name not in names]
        if strange:
            raise UserError(f'{self.img_prefix} has folders that are not among the classes of the '
                            f'config: its folders are {some(folders, 20)}, the classes '
                            f'{some(names, 20)}; add {some(strange)} to the classes, or take '
                            'the folders out.')
        absent = [name for name in names if name not in folders]
        if absent:
            print_log(f'{self.img_prefix} has no folder for {len(absent)} of {len(names)} classes: '
                      f'{some(absent)}.', 'current', logging.WARNING)
        self.folder_to_idx = {name: names.index(name) for name in folders}
        return count_left_out(lambda: custom.get_samples(
            self.img_prefix, self.folder_to_idx, is_valid_file=self.is_valid_file)[0], self)

    custom.find_folders, custom.CustomDataset._find_samples = without_hidden, by_name
    check_label_files(custom.CustomDataset)


def _check_spelling(root: str, folders: list[str], names: list[str]) -> None:
    """Names in another case than the folders' are meant for them, and in their own order."""
    def plain(name: str) -> str:
        return ''.join(letter for letter in str(name).casefold() if letter.isalnum())

    of_folders = {plain(folder): folder for folder in folders}
    for name in names:
        if plain(name) in of_folders and plain(name):
            raise UserError(f'The config names a class {name!r}, but its folder in {root} is '
                            f'{of_folders[plain(name)]!r}, so that labels would go by the order of '
                            f'the folders ({some(folders, 20)}), not by that of the names '
                            f'({some(names, 20)}); write the names as the folders are called.')


def report_left_out() -> None:
    """Let the data sets say which samples they leave out, and why when none is left.

    An empty data set ends in "need at least one array to concatenate", and classes of another
    spelling than VOC's files use in training on nothing.
    """
    from mmdet.datasets import BaseDetDataset, XMLDataset

    full_init, serialize = BaseDetDataset.full_init, BaseDataset._serialize_data
    if hasattr(serialize, '__wrapped__'):
        return

    def counting_init(self: Any) -> None:
        check_list(self)
        filter_data = self.filter_data

        def counted() -> list[dict]:
            boxes = take_out_bad_boxes(self) if isinstance(self, XMLDataset) else {}
            kept = filter_data()
            if not getattr(self, 'reports_left_out', False):
                _report(self, self.data_list, kept)
            if boxes:
                print_log(f'{_name(self)}: left out are {"; ".join(describe(boxes))}.', 'current')
            return kept

        self.filter_data = counted
        try:
            full_init(self)
        finally:
            del self.filter_data

    @functools.wraps(serialize)
    def serialize_some(self: Any) -> tuple:
        if not self.data_list:
            raise UserError(f'{_name(self)} has no sample: the annotations are empty, or indices '
                            'chooses none.')
        return serialize(self)

    BaseDetDataset.full_init, BaseDataset._serialize_data = counting_init, serialize_some


def _report(dataset: Any, samples: list[dict], kept: list[dict]) -> None:
    if not samples:
        raise UserError(f'{_name(dataset)} lists no image.')
    _check_names(dataset, samples)
    stays = {id(sample) for sample in kept}
    smallest = (dataset.filter_cfg or {}).get('min_size', 0)
    reasons: dict[str, list] = {}
    for sample in samples:
        if id(sample) not in stays:
            too_small = min(sample.get('width', smallest),
                            sample.get('height', smallest)) < smallest
            reason = (f'images with a side below {smallest} pixels (min_size of filter_cfg)'
                      if too_small else 'images without boxes')
            reasons.setdefault(reason, []).append(sample.get('img_id', '?'))
    summary = '; '.join(f'{len(found)} {reason} ({some(found)})'
                        for reason, found in reasons.items())
    if not kept:
        raise UserError(f'None of the {len(samples)} images of {_name(dataset)} is left: '
                        f'{summary}.')
    if not dataset.test_mode and not any(sample.get('instances', True) for sample in samples):
        raise UserError(f'The {len(samples)} images of {_name(dataset)} have no box of the classes '
                        f'{some(dataset.metainfo.get("classes") or ())}; there is nothing to '
                        'train on.')
    if reasons:
        print_log(f'{_name(dataset)}, {len(samples)} images: left out are {summary}.', 'current')


def _check_names(dataset: Any, samples: list[dict]) -> None:
    """Compare the classes without any box with the names that VOC's files use."""
    from mmdet.datasets import XMLDataset

    classes = dataset.metainfo.get('classes') or ()
    if not isinstance(dataset, XMLDataset) or isinstance(classes, str):
        return
    seen = {box['bbox_label'] for sample in samples for box in sample['instances']}
    unused = [name for label, name in enumerate(classes) if label not in seen]
    if not unused:
        return
    others = sorted(set(_xml_names(samples)) - set(classes))
    for name in unused:
        near = _nearest(name, others)
        if near or (others and not seen):
            raise UserError(
                f'{_name(dataset)}, {len(samples)} images, has no box of the class {name!r}; its '
                f'annotations name {some(map(repr, others))}'
                + (f': write {near!r} in metainfo=dict(classes=...).' if near else
                   ': set metainfo=dict(classes=...) to these names.'))
    print_log(f'{_name(dataset)} has no box of {len(unused)} of {len(classes)} classes: '
              f'{some(unused)}.', 'current', logging.WARNING)


def _xml_names(samples: list[dict]) -> Iterator[str]:
    for sample in samples[::max(1, len(samples) // _READ)]:
        for entry in ElementTree.parse(sample['xml_path']).getroot().findall('object'):
            yield entry.findtext('name', '')


def _nearest(name: str, names: list[str]) -> str | None:
    folded: dict[str, str] = {other.casefold().strip(): other for other in names}
    near = difflib.get_close_matches(name.casefold().strip(), folded, 1, cutoff=0.75)
    return folded[near[0]] if near else None


def _name(dataset: Any) -> str:
    place = getattr(dataset, 'ann_file', '') or getattr(dataset, 'data_root', '')
    return f'{type(dataset).__name__} {place}'.strip()


