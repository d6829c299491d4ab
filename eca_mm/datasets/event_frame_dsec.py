"""DSEC in COCO's format: the published CSV labels, or those of DSEC-Detection."""
from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from mmengine.utils import track_iter_progress

from eca_mm.events import Calibration, DSECEventFile, frame_map, read_rectify_map, warp_frame
from eca_mm.events.alignment import VIEWS
from eca_mm.utils.atomic_files import write_atomically
from eca_mm.utils.errors import UserError
from eca_mm.utils.terminal import say

from .event_frame_records import (
    Frame,
    Report,
    check_targets,
    read_csv_labels,
    read_times,
    write_split,
)
from .event_frame_splits import CSV_CLASSES, CSV_SPLIT, DET_CLASSES, DET_SPLIT
from .event_frame_tracks import read_tracks
from .image_header import stated_size
from .loading import LoadImage

# Of the event camera and of the frame camera.
SIZE, FRAME_SIZE = (480, 640), (1080, 1440)


def check_frame_size(path: Path) -> None:
    """Make sure that an aligned frame has the size of the event camera, by its header.

    Args:
        path (Path): A PNG file.

    Raises:
        UserError: If it has another size.
    """
    with open(path, 'rb') as file:
        found = stated_size(file.read(64))
    # What is not known by its header is found when it is loaded.
    if found is not None and found[::-1] != SIZE:
        raise _wrong_size(path, found[::-1], SIZE)


def _wrong_size(path: Path, found: tuple, expected: tuple) -> UserError:
    return UserError(f'Frame {path} has {found[1]} x {found[0]} pixels, but DSEC has '
                     f'{expected[1]} x {expected[0]} there; download it again.')


class Recording:
    """A sequence's folder below DSEC's root, directly or in ``train/`` or ``test/``.

    Args:
        root (Path): DSEC's root.
        name (str): The sequence.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name = root, name
        places = [root / part / name for part in ('', 'train', 'test')]
        self.is_there = any(place.is_dir() for place in places)
        self.folder = next((place for place in places if place.is_dir()), root / name)

    def path(self, *parts: str) -> str:
        """A file of the sequence below the root, in POSIX form."""
        return self.folder.joinpath(*parts).relative_to(self.root).as_posix()

    @cached_property
    def times(self) -> np.ndarray:
        """Times of the frames in microseconds."""
        return read_times(self.folder / 'images/timestamps.txt')

    @cached_property
    def span(self) -> tuple[int, int]:
        """First and last moment of the recording in microseconds."""
        with DSECEventFile(self.folder / 'events/left/events.h5') as file:
            if file.start > file.end:
                raise UserError(f'Event file {file.path} begins at {file.start} us and ends at '
                                f'{file.end} us, so its times are not sorted; download it again.')
            return file.start, file.end

    @cached_property
    def places(self) -> dict[str, np.ndarray]:
        """Where an event view looks in the frame, by view; made when it is needed."""
        return {}

    def aligned_frame(self, index: int, view: str) -> str:
        """The frame in an event view, which is drawn where it is missing.

        Args:
            index (int): Number of the frame.
            view (str): ``'distorted'`` or ``'rectified'``.

        Returns:
            str: Its file below the root.

        Raises:
            UserError: If the frame or the calibration cannot be read.
        """
        folder = 'distorted' if view == 'distorted' else 'rectified_events'
        name = self.path('images/left', folder, f'{index:06d}.png')
        if not (self.root / name).is_file():
            source = self.folder / f'images/left/rectified/{index:06d}.png'
            if not source.is_file():
                raise UserError(f'Frame {source} is missing; fetch the images of {self.name}, '
                                f'rectified or in the {view} view.')
            frame = LoadImage()({'img_path': str(source)})['img']
            if frame.shape[:2] != FRAME_SIZE:
                raise _wrong_size(source, frame.shape[:2], FRAME_SIZE)
            warped = warp_frame(frame, self._places(view))
            write_atomically(cv2.imencode('.png', warped)[1].tobytes(), self.root / name)
        check_frame_size(self.root / name)
        return name

    def _places(self, view: str) -> np.ndarray:
        if view not in self.places:
            calibration = Calibration.read(self.folder / 'calibration/cam_to_cam.yaml')
            rectify = (read_rectify_map(self.folder / 'events/left/rectify_map.h5', *SIZE)
                       if view == 'distorted' else None)
            self.places[view] = frame_map(calibration, view, rectify, *SIZE)
        return self.places[view]


def convert_dsec(root: str | os.PathLike,
                 labels: Sequence[str | os.PathLike] = (),
                 out: str | os.PathLike | None = None,
                 view: str | None = None,
                 window_ms: int = 50,
                 npz: str | None = None,
                 overwrite: bool = False) -> Report:
    """Write annotation files of DSEC.

    Args:
        root (str | os.PathLike): Folder of the sequences, directly or in ``train/`` and ``test/``.
        labels (Sequence[str | os.PathLike]): CSV files with the three classes and the published
            split. Without them the ``tracks.npy`` of DSEC-Detection are read, with its eight
            classes and its split.
        out (str | os.PathLike, optional): Folder for the annotation files. Defaults to
            ``annotations`` in the root.
        view (str, optional): ``'distorted'`` or ``'rectified'``, the view of the boxes. Defaults
            to the rectified one for CSV labels, the distorted one for DSEC-Detection.
        window_ms (int): Length of the events before a frame, in milliseconds. Defaults to 50.
        npz (str, optional): Folder below the root of voxel grids as the CSV labels name them,
            which are used in place of the recordings.
        overwrite (bool): Whether annotation files may be replaced. Defaults to False.

    Returns:
        Report: Frames and boxes by split and class, what was clipped or left out, which sequences
        are missing and what was written.

    Raises:
        UserError: If a file is missing or cannot be used, a frame is labelled in two files, or an
            annotation file is there already.
        ValueError: If the view is unknown or the window is empty.
    """
    is_window = isinstance(window_ms, int | float) and 0 < window_ms < math.inf
    if view not in (None, *VIEWS) or not is_window:
        raise ValueError(f'view is {view!r} and window_ms {window_ms!r}, but one of {VIEWS} and a '
                         'positive number are expected.')
    root = Path(root)
    if not root.is_dir():
        raise UserError(f'DSEC folder {root} does not exist; give the one that holds the '
                        'sequences.')
    view = view or ('rectified' if labels else 'distorted')
    out = Path(out) if out else root / 'annotations'
    split, classes, kind = ((CSV_SPLIT, CSV_CLASSES, 'dsec') if labels
                            else (DET_SPLIT, DET_CLASSES, 'dsec-det'))
    names = {part: f'{kind}_{part}.json' for part in split}
    check_targets(out, list(names.values()), overwrite, labels)
    report = Report()
    make = _csv_frames if labels else _tracked_frames
    found = make(root, split, view, 1000 * window_ms, report, labels, npz)
    for part, name in names.items():
        if found.get(part):
            write_split(out, name, part, found[part], classes, report)
    if not report.files and report.problems:
        reasons = ', '.join(f'{count:,} {reason}' for reason, count in report.problems.items())
        raise UserError(f'No frame of {root} is left for an annotation file: {reasons}.')
    if not report.files:
        raise UserError(f'{root} has none of the {sum(map(len, split.values()))} sequences of '
                        f'{"the labels" if labels else "DSEC-Detection"}, such as '
                        f'{split["test"][0]}; check the folder.')
    return report


def _recordings(root: Path, split: dict, report: Report) -> dict[str, tuple[str, Recording]]:
    """The sequences that are there, by name, with their split."""
    found = {}
    for part, names in split.items():
        for name in names:
            recording = Recording(root, name)
            if not recording.is_there:
                report.missing.append(name)
            else:
                found[name] = part, recording
    return found


def _csv_frames(root: Path, split: dict, view: str, window: int, report: Report,
                labels: Sequence[str | os.PathLike], npz: str | None) -> dict[str, list[Frame]]:
    boxes: dict[str, list[tuple]] = {}
    for path in labels:
        for name, entries in read_csv_labels(path, CSV_CLASSES).items():
            if name in boxes:
                raise UserError(f'Frame {name!r} is labelled in {path} and in another file of '
                                'labels; name every file once.')
            boxes[name] = entries
    recordings = _recordings(root, split, report)
    found: dict[str, list[Frame]] = {part: [] for part in split}
    say(f'{len(boxes)} labelled frames')
    for name in track_iter_progress(sorted(boxes)):
        match = re.fullmatch(r'(?:.*/)?([^/]+)/left/(\d{6})\.npz', name)
        if match is None or not any(match[1] in names for names in split.values()):
            raise UserError(f'{name!r} of the labels is not SEQUENCE/left/NUMBER.npz with a '
                            'sequence of DSEC; check the files of labels.')
        if match[1] not in recordings:
            report.problems['labelled frames of sequences that are missing'] += 1
            continue
        part, recording = recordings[match[1]]
        index = int(match[2])
        published = f'transformed_images/{match[1]}/images/left/rectified/{index:06d}.png'
        if view == 'rectified' and (root / published).is_file():
            image = published
            check_frame_size(root / image)
        else:
            image = recording.aligned_frame(index, view)
        frame: Frame | None = None
        if npz is not None and not (root / npz / name).is_file():
            report.problems['labelled frames without a voxel grid, left out'] += 1
        elif npz is not None:
            frame = Frame(image, f'{npz}/{name}', None, view, SIZE, match[1])
        else:
            frame = _frame(recording, index, image, view, window, report)
        if frame is not None:
            frame.boxes = boxes[name]
            found[part].append(frame)
    say()
    return found


def _frame(recording: Recording, index: int, image: str, view: str, window: int,
           report: Report) -> Frame | None:
    """A frame with its window of a recording; None where that lies outside."""
    if index >= len(recording.times):
        raise UserError(f'{recording.folder}/images/timestamps.txt has {len(recording.times)} '
                        f'times, but the labels name frame {index}; download it again.')
    time = int(recording.times[index])
    start, end = recording.span
    if time <= start or time - window > end:
        report.problems['frames without events before them, left out'] += 1
        return None
    return Frame(image, recording.path('events/left/events.h5'), (time - window, time), view, SIZE,
                 recording.name, recording.path('events/left/rectify_map.h5')
                 if view == 'rectified' else None)


def _tracked_frames(root: Path, split: dict, view: str, window: int, report: Report,
                    labels: Sequence[str | os.PathLike], npz: str | None
                    ) -> dict[str, list[Frame]]:
    if npz is not None:
        raise UserError('--npz goes with the CSV labels, whose voxel grids it names; give '
                        '--labels too.')
    found: dict[str, list[Frame]] = {part: [] for part in split}
    recordings = _recordings(root, split, report)
    say(f'{len(recordings)} sequences')
    for part, recording in track_iter_progress(list(recordings.values())):
        tracks = read_tracks(recording.folder / 'object_detections/left/tracks.npy')
        place = np.searchsorted(recording.times, tracks['t'].astype(np.int64))
        place = place.clip(max=max(len(recording.times) - 1, 0))
        belongs = recording.times[place] == tracks['t'].astype(np.int64)
        if len(tracks) and not belongs.any():
            raise UserError(f'No time of {recording.folder}/object_detections/left/tracks.npy is '
                            'that of a frame in images/timestamps.txt; are both of the same '
                            'sequence?')
        if not belongs.all():
            report.problems['boxes at times without a frame, left out'] += int((~belongs).sum())
        for index in range(len(recording.times)):
            frame = _frame(recording, index, '', view, window, report)
            if frame is None:
                continue
            frame.file_name = recording.aligned_frame(index, view)
            for box in tracks[(place == index) & belongs]:
                x, y, width, height = (float(box[key]) for key in 'xywh')
                frame.boxes.append((x, y, x + width, y + height, int(box['class_id'])))
                frame.extra.append(dict(track_id=int(box['track_id']),
                                        confidence=float(box['class_confidence'])))
            found[part].append(frame)
    say()
    return found
