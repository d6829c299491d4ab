"""Annotation files of frames with events, from any of the supported labels."""
from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from eca_mm.utils import outputs
from eca_mm.utils.atomic_files import write_atomically
from eca_mm.utils.errors import UserError
from eca_mm.utils.listing import some
from eca_mm.utils.regular_files import read_text
from eca_mm.utils.terminal import printable

# Boxes of two classes that overlap by so much are most likely one object.
_DUPLICATE = 0.9


@dataclass
class Frame:
    """A frame, its events and its boxes.

    Attributes:
        file_name (str): The frame's file below the data root.
        event_file (str): Its events' file below the data root.
        window (tuple[int, int] | None): Time of the events in microseconds, None for a grid.
        view (str): A view of :data:`eca_mm.datasets.event_frame.VIEWS`.
        size (tuple[int, int]): Height and width in pixels.
        sequence (str): The recording that it is from.
        rectify_map (str | None): Map of the rectified view.
        boxes (list[tuple]): ``(x1, y1, x2, y2, class index)`` of each object.
        extra (list[dict]): More fields of each object's annotation; empty for none.
    """

    file_name: str
    event_file: str
    window: tuple[int, int] | None
    view: str
    size: tuple[int, int]
    sequence: str
    rectify_map: str | None = None
    boxes: list[tuple] = field(default_factory=list)
    extra: list[dict] = field(default_factory=list)


@dataclass
class Report:
    """What a converter did.

    Attributes:
        frames (dict[str, int]): Frames of every split.
        empty (dict[str, int]): Frames without boxes of every split.
        boxes (dict[str, Counter]): Boxes of every split by class.
        problems (Counter): Boxes and frames that were changed, left out or look odd, by reason.
        missing (list[str]): Sequences of the official split that are not there.
        files (list[str]): What was written.
    """

    frames: dict[str, int] = field(default_factory=dict)
    empty: dict[str, int] = field(default_factory=dict)
    boxes: dict[str, Counter] = field(default_factory=dict)
    problems: Counter = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = []
        for split, count in self.frames.items():
            boxes = self.boxes[split]
            classes = ', '.join(f'{name} {number:,}' for name, number in boxes.items())
            lines.append(f'{split}: {count:,} frames ({self.empty[split]:,} empty), '
                         f'{sum(boxes.values()):,} boxes ({classes})')
        lines += [f'{count:,} {reason}' for reason, count in self.problems.items()]
        if self.missing:
            lines.append(f'{len(self.missing)} sequences of the official split are missing: '
                         f'{", ".join(self.missing)}')
        return '\n'.join([*lines, *(f'wrote {path}' for path in self.files)])


def check_targets(folder: str | os.PathLike, names: Sequence[str], overwrite: bool,
                  inputs: Iterable[str | os.PathLike] = ()) -> None:
    """Make sure, before any work is done, that annotation files may be written.

    Args:
        folder (str | os.PathLike): Where they go.
        names (Sequence[str]): Their names.
        overwrite (bool): Whether files that are there may be replaced.
        inputs (Iterable[str | os.PathLike]): Files that the same command reads.

    Raises:
        UserError: If one is there already, is a link, or is an input.
    """
    outputs.check_targets([os.path.join(folder, name) for name in names],
                          [os.fspath(path) for path in inputs])
    there = [name for name in names if os.path.lexists(os.path.join(folder, name))]
    if there and not overwrite:
        raise UserError(f'{os.path.join(folder, there[0])} exists already; give --overwrite to '
                        'replace it, or another folder by --out.')


def write_split(folder: str | os.PathLike, name: str, split: str, frames: Sequence[Frame],
                classes: Sequence[str], report: Report) -> None:
    """Write the annotation file of a split.

    Boxes are clipped to the view; what is left of less than a pixel, or lies outside, is left
    out. All of that is counted, and so are boxes of at most one pixel and boxes of two classes on
    the same object, which stay.

    Args:
        folder (str | os.PathLike): Where it goes.
        name (str): Its name.
        split (str): The split's name in the report.
        frames (Sequence[Frame]): Its frames.
        classes (Sequence[str]): Names of the classes.
        report (Report): Takes the counts.

    Raises:
        UserError: If there is no frame.
    """
    if not frames:
        raise UserError(f'There is no frame for {name}; none of the sequences of its split is '
                        'there.')
    images: list[dict] = []
    annotations: list[dict] = []
    counts = Counter({name: 0 for name in classes})
    for number, frame in enumerate(frames, 1):
        height, width = frame.size
        images.append(dict(
            id=number, file_name=frame.file_name, height=height, width=width,
            event_file=frame.event_file, view=frame.view, sequence=frame.sequence,
            event_window=None if frame.window is None else [int(time) for time in frame.window],
            **({} if frame.rectify_map is None else dict(rectify_map=frame.rectify_map))))
        kept: list[tuple] = []
        for place, box in enumerate(frame.boxes):
            clipped = _clipped(box, height, width, report.problems)
            if clipped is None:
                continue
            if clipped in kept:
                report.problems['boxes given twice, left out once'] += 1
                continue
            x1, y1, x2, y2, label = clipped
            kept.append(clipped)
            counts[classes[label]] += 1
            annotations.append(dict(
                id=len(annotations) + 1, image_id=number, category_id=label + 1, iscrowd=0,
                bbox=[x1, y1, x2 - x1, y2 - y1], area=(x2 - x1) * (y2 - y1),
                **(frame.extra[place] if frame.extra else {})))
        pairs = sum(a[4] != b[4] and _overlap(a, b) > _DUPLICATE
                    for i, a in enumerate(kept) for b in kept[:i])
        if pairs:
            report.problems['pairs of boxes of two classes on one object, which stay'] += pairs
    report.frames[split], report.boxes[split] = len(images), counts
    report.empty[split] = len(images) - len({ann['image_id'] for ann in annotations})
    content = dict(info=dict(description=f'{name}, frames with events'), licenses=[],
                   categories=[dict(id=i, name=name) for i, name in enumerate(classes, 1)],
                   images=images, annotations=annotations)
    path = os.path.join(folder, name)
    write_atomically(json.dumps(content).encode(), path)
    report.files.append(path)


def _clipped(box: tuple, height: int, width: int, problems: Counter) -> tuple | None:
    """A box within the view; None if nothing is left of it."""
    x1, y1, x2, y2, label = (*map(float, box[:4]), box[4])
    if not all(abs(value) < 1e6 for value in (x1, y1, x2, y2)):
        problems['boxes that are not finite, left out'] += 1
        return None
    if x2 <= x1 or y2 <= y1:
        problems['boxes without area, left out'] += 1
        return None
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        problems['boxes outside of the view, left out'] += 1
        return None
    if x1 < 0 or y1 < 0:
        problems['boxes with negative coordinates, clipped'] += 1
    if x2 > width or y2 > height:
        problems['boxes that leave the view, clipped'] += 1
    x1, y1, x2, y2 = max(x1, 0.), max(y1, 0.), min(x2, float(width)), min(y2, float(height))
    if min(x2 - x1, y2 - y1) < 1:
        problems['boxes of less than one pixel, left out'] += 1
        return None
    if min(x2 - x1, y2 - y1) <= 1:
        problems['boxes of one pixel, which stay'] += 1
    return x1, y1, x2, y2, label


def _overlap(a: tuple, b: tuple) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return common / (sum(areas) - common)


def read_csv_labels(path: str | os.PathLike, classes: Sequence[str]) -> dict[str, list[tuple]]:
    """Read labels ``file,x1,y1,x2,y2,class``, one object per line.

    A frame without objects has one line ``file,,,,,``.

    Args:
        path (str | os.PathLike): The file.
        classes (Sequence[str]): Names of the classes.

    Returns:
        dict[str, list[tuple]]: ``(x1, y1, x2, y2, class index)`` of the objects of every file.

    Raises:
        UserError: If it cannot be read, or a line is something else; with its number.
    """
    try:
        # Spreadsheets begin with a mark of the byte order.
        lines = read_text(path).removeprefix('\ufeff').splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f'Labels {path} cannot be read ({getattr(error, "strerror", None) or error}'
                        '); check the path.') from error
    found: dict[str, list[tuple]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, *values = (value.strip() for value in line.split(','))
        boxes = found.setdefault(name, [])
        if name and len(values) == 5 and not any(values):
            continue
        try:
            x1, y1, x2, y2 = map(float, values[:4])
            boxes.append((x1, y1, x2, y2, classes.index(values[4])))
            if not name or len(values) != 5:
                raise ValueError
        except (ValueError, IndexError) as error:
            raise UserError(f'Labels {path}, line {number}: {printable(line)} is not '
                            f'file,x1,y1,x2,y2,class with one of the classes {some(classes)}.'
                            ) from error
    if not found:
        raise UserError(f'Labels {path} has no line; download the file again.')
    return found


def read_times(path: str | os.PathLike) -> np.ndarray:
    """Read the times of a sequence's frames, ``timestamps.txt``.

    Args:
        path (str | os.PathLike): The file: a time in microseconds in each line.

    Returns:
        np.ndarray: The times in ascending order, int64 of shape (N,).

    Raises:
        UserError: If it cannot be read, holds anything else or none, or does not ascend.
    """
    try:
        lines = read_text(path, 2**28).splitlines()
        times = np.array([int(line) for line in lines if line.strip()], np.int64)
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(f'Times of frames {path} cannot be read ({printable(error)}); fetch the '
                        'file again.') from error
    if not len(times) or (np.diff(times) <= 0).any():
        raise UserError(f'Times of frames {path} {"do not ascend" if len(times) else "is empty"}; '
                        'fetch the file again.')
    return times
