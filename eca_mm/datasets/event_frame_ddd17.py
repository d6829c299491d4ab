"""PKU-DDD17-Car in COCO's format."""
from __future__ import annotations

import os
import re
from pathlib import Path

from mmengine.utils import track_iter_progress

from eca_mm.utils.atomic_files import write_atomically
from eca_mm.utils.errors import UserError
from eca_mm.utils.terminal import say

from .event_frame_records import Frame, Report, check_targets, read_csv_labels, write_split

SIZE = (260, 346)
CLASSES = ('car', )
_SPLITS = dict(train='train', test='test_all')


def convert_ddd17(root: str | os.PathLike,
                  labels: str | os.PathLike,
                  out: str | os.PathLike | None = None,
                  overwrite: bool = False) -> Report:
    """Write annotation files of PKU-DDD17-Car as FRN lays it out.

    Frames are ``images/{train,test_all}/aps_images/*.png``, voxel grids
    ``images/{train,test_all}/dvs_events/*.npz``; one sensor gives both, so they are aligned.
    ``ddd17_day.txt`` and ``ddd17_night.txt`` list the test frames of the two parts, for
    :class:`~eca_mm.datasets.event_frame_metric.EventDetectionMetric`.

    Args:
        root (str | os.PathLike): Folder with ``images``.
        labels (str | os.PathLike): Folder of ``labels_filtered_train.csv``,
            ``labels_filtered_test_all.csv`` and, if there, ``..._test_day.csv`` and
            ``..._test_night.csv``.
        out (str | os.PathLike, optional): Folder for what is written. Defaults to ``annotations``
            in the root.
        overwrite (bool): Whether files may be replaced. Defaults to False.

    Returns:
        Report: Frames and boxes by split, what was clipped or left out, and what was written.

    Raises:
        UserError: If a file is missing or cannot be used, or is there already.
    """
    root, labels = Path(root), Path(labels)
    out = Path(out) if out else root / 'annotations'
    if not (root / 'images').is_dir():
        raise UserError(f'{root} has no folder images; give the one of PKU-DDD17-Car that has.')
    names = {split: f'ddd17_{split}.json' for split in _SPLITS}
    parts = {part: labels / f'labels_filtered_test_{part}.csv' for part in ('day', 'night')}
    lists = {part: f'ddd17_{part}.txt' for part, path in parts.items() if path.is_file()}
    check_targets(out, [*names.values(), *lists.values()], overwrite,
                  labels.glob('*.csv'))
    report = Report()
    for split, folder in _SPLITS.items():
        boxes = read_csv_labels(labels / f'labels_filtered_{folder}.csv', CLASSES)
        say(f'{split}: {len(boxes)} labelled frames')
        frames = [_frame(root, folder, name, entries, report)
                  for name, entries in track_iter_progress(sorted(boxes.items()))]
        say()
        write_split(out, names[split], split, [frame for frame in frames if frame], CLASSES, report)
    for part, name in lists.items():
        chosen = sorted(os.path.splitext(os.path.basename(name))[0]
                        for name in read_csv_labels(parts[part], CLASSES))
        write_atomically(''.join(f'{line}\n' for line in chosen).encode(), out / name)
        report.files.append(str(out / name))
    return report


def _frame(root: Path, folder: str, name: str, boxes: list[tuple], report: Report) -> Frame | None:
    match = re.fullmatch(r'(?:.*/)?((rec\d+)_\d+)\.npz', name)
    if not match:
        raise UserError(f'{name!r} of the labels is not recRECORDING_TIME.npz; labels of '
                        'PKU-DDD17-Car are expected.')
    image = f'images/{folder}/aps_images/{match[1]}.png'
    events = f'images/{folder}/dvs_events/{match[1]}.npz'
    absent = [path for path in (image, events) if not (root / path).is_file()]
    if absent:
        report.problems[f'labelled frames of {folder} without frame or events, left out'] += 1
        return None
    return Frame(image, events, None, 'frame', SIZE, match[2], boxes=boxes)
