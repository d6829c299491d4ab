"""Checks of mmpretrain's ``CustomDataset``: labels in a file, and files of folders."""
import functools
import logging
import os
from collections import Counter
from collections.abc import Callable
from typing import Any

from mmengine.logging import print_log

from eca_mm.utils.errors import UserError
from eca_mm.utils.listing import some

# What systems leave in every folder.
_LITTER = ('thumbs.db', 'desktop.ini')
_PROBED = 16


def check_label_files(kind: Any) -> None:
    """Let ``CustomDataset`` check the labels of its annotation file, and note the largest.

    Args:
        kind (type): The class.
    """
    load_data_list = kind.load_data_list

    @functools.wraps(load_data_list)
    def checked(self: Any) -> list[dict]:
        if not (self.ann_file and self.with_label):
            return load_data_list(self)
        check_list(self)
        count = len(self.CLASSES) if self.CLASSES else None
        try:
            samples = load_data_list(self)
        except ValueError as error:
            raise UserError(f'{self.ann_file} has a line that is not a path and a label, a whole '
                            f'number from 0 on, with a space between them ({error}); correct '
                            'it.') from error
        labels = [sample['gt_label'] for sample in samples]
        wrong = next((sample for sample in samples if sample['gt_label'] < 0 or (
            count and sample['gt_label'] >= count)), None)
        if wrong:
            raise UserError(f'{self.ann_file} gives {wrong["img_path"]} the label '
                            f'{wrong["gt_label"]}, but labels go from 0'
                            + (f' to {count - 1} for {count} classes' if count else ' on')
                            + '; correct it.')
        self.largest_label = max(labels, default=None)
        _check_paths(self, samples)
        _check_labels(self, samples)
        return samples

    kind.load_data_list = checked


def check_list(dataset: Any) -> None:
    """Refuse class names that are one text.

    Args:
        dataset (BaseDataset): A data set.

    Raises:
        UserError: With the text.
    """
    names = (getattr(dataset, '_metainfo', None) or {}).get('classes')
    if isinstance(names, str):
        raise UserError(f'metainfo.classes is the text {names!r}, of which each letter would be a '
                        f'class; write classes=({names!r}, ) with a comma.')


def _check_paths(dataset: Any, samples: list[dict]) -> None:
    """Look for some images: a wrong separator or prefix makes all paths wrong."""
    if samples and '\ufeff' in samples[0]['img_path']:
        # Windows' editors put it before the first line.
        samples[0]['img_path'] = samples[0]['img_path'].replace('\ufeff', '', 1)
    probed = samples[::max(1, len(samples) // _PROBED)]
    if any('://' in sample['img_path'] or os.path.lexists(sample['img_path'])
           for sample in probed) or not probed:
        return
    print_log(f'None of {len(probed)} probed images of {dataset.ann_file} exists, the first being '
              f'{probed[0]["img_path"]!r}: check data_root and data_prefix of the config, and that '
              'each line is a path, one space and a label.', 'current', logging.WARNING)


def _check_labels(dataset: Any, samples: list[dict]) -> None:
    """Warn of images with two labels, and of labels that seem to count from 1."""
    labels: dict[str, int] = {}
    twice = [sample['img_path'] for sample in samples
             if labels.setdefault(sample['img_path'], sample['gt_label']) != sample['gt_label']]
    if twice:
        print_log(f'{dataset.ann_file} gives {len(twice)} images different labels on different '
                  f'lines: {some(twice)}.', 'current', logging.WARNING)
    if samples and min(labels.values()) > 0 and len(set(labels.values())) > 1:
        print_log(f'{dataset.ann_file} has no label 0, but labels from {min(labels.values())} to '
                  f'{max(labels.values())}: they are counted from 0.', 'current', logging.WARNING)


def count_left_out(find: Callable[[], list], dataset: Any) -> list:
    """Look for the images of folders, and say which files are none because of their suffix.

    Args:
        find (Callable[[], list]): Returns the samples; asks ``dataset.is_valid_file``.
        dataset (CustomDataset): The data set.

    Returns:
        list: The samples.

    Raises:
        UserError: If there is no image.
    """
    is_valid, left_out = dataset.is_valid_file, Counter()  # type: ignore[var-annotated]

    def counted(name: str) -> bool:
        valid, base = is_valid(name), os.path.basename(name)
        if not valid and not base.startswith('.') and base.lower() not in _LITTER:
            left_out[os.path.splitext(name)[1] or 'no suffix'] += 1
        return valid

    dataset.is_valid_file = counted
    try:
        samples = find()
    except RuntimeError as error:
        if 'Found 0 files' not in str(error):
            raise
        samples = []
    finally:
        del dataset.is_valid_file
    others = some([f'{number} {suffix}' for suffix, number in left_out.most_common()])
    if not samples:
        raise UserError(f'{dataset.img_prefix} has no image in its folders; files ending in '
                        f'{", ".join(sorted(dataset.extensions))} are looked for'
                        + (f', and there are {others}' if others else '')
                        + '; further endings go into extensions of the data set.')
    if left_out:
        print_log(f'{sum(left_out.values())} files in the folders of {dataset.img_prefix} are left '
                  f'out because of their suffix: {others}; name those of images in extensions of '
                  'the data set.', 'current', logging.WARNING)
    return samples
