"""Events drawn over frames, to see whether the two are aligned."""
from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from eca_mm.datasets.event_frame import EventFrameDataset
from eca_mm.datasets.event_frame_records import read_times
from eca_mm.datasets.loading import LoadImage
from eca_mm.events import (
    Calibration,
    DSECEventFile,
    Events,
    frame_map,
    read_rectify_map,
    rectify_events,
    voxel_grid,
    warp_frame,
)
from eca_mm.utils.errors import UserError

# In BGR, of Okabe and Ito's palette: brighter, darker, and the boxes.
BRIGHTER, DARKER, BOX = (0, 94, 213), (178, 114, 0), (66, 228, 240)


def overlay(frame: np.ndarray,
            grid: np.ndarray,
            boxes: Sequence[tuple] = (),
            names: Sequence[str] = ()) -> np.ndarray:
    """Draw events over a frame.

    Args:
        frame (np.ndarray): The frame, uint8 of shape (H, W, 3) in BGR.
        grid (np.ndarray): Its events, a voxel grid of shape (bins, H, W).
        boxes (Sequence[tuple]): Boxes (x1, y1, x2, y2) to draw.
        names (Sequence[str]): What to write above each, nothing for none.

    Returns:
        np.ndarray: The picture, uint8 of shape (H, W, 3): orange where it became brighter and blue
        where it became darker, the stronger the more events.
    """
    total = np.asarray(grid, np.float64).sum(0)
    # A few hot pixels do not make all others pale.
    most = np.quantile(np.abs(total[total != 0]), .9) if total.any() else 1.
    share = (np.abs(total) / most).clip(0, 1)[..., None]
    colour = np.where(total[..., None] > 0, BRIGHTER, DARKER)
    picture = (frame * (1 - share) + colour * share).astype(np.uint8)
    for place, box in enumerate(boxes):
        x1, y1, x2, y2 = (round(float(value)) for value in box[:4])
        cv2.rectangle(picture, (x1, y1), (x2, y2), BOX, 1)
        if place < len(names):
            _write(picture, names[place], x1, y1)
    return picture


def _write(picture: np.ndarray, text: str, left: int, bottom: int) -> None:
    """Write above a line, within the picture, on black so that it is read on any ground."""
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, max(.45, max(picture.shape[:2]) / 900)
    (width, height), _ = cv2.getTextSize(text, font, scale, 1)
    x = max(min(left, picture.shape[1] - width - 1), 0)
    y = max(bottom - 4, height + 1)
    cv2.rectangle(picture, (x, y - height - 1), (x + width, y + 3), (0, 0, 0), cv2.FILLED)
    cv2.putText(picture, text, (x, y), font, scale, BOX, 1, cv2.LINE_AA)


def under_titles(rows: Sequence[np.ndarray], titles: Sequence[str]) -> np.ndarray:
    """Put pictures of the same size below each other, with a title over each of their columns.

    Args:
        rows (Sequence[np.ndarray]): Pictures, uint8 of shape (H, W, 3).
        titles (Sequence[str]): Titles of columns of the same width.

    Returns:
        np.ndarray: The picture, uint8, of the same width.
    """
    width = rows[0].shape[1]
    head = np.full((28, width, 3), 255, np.uint8)
    for place, title in enumerate(titles):
        cv2.putText(head, title, (place * width // len(titles) + 6, 20), cv2.FONT_HERSHEY_SIMPLEX,
                    .5, (0, 0, 0), 1, cv2.LINE_AA)
    line = np.full((4, width, 3), 255, np.uint8)
    return np.vstack([head, *(part for row in rows for part in (row, line))])


def beside(frame: np.ndarray, grid: np.ndarray, boxes: Sequence[tuple] = (),
           names: Sequence[str] = (), scale: int = 1) -> np.ndarray:
    """Frame, events and both with boxes, side by side.

    Args:
        frame (np.ndarray): The frame, uint8 of shape (H, W, 3) in BGR.
        grid (np.ndarray): Its events, a voxel grid of shape (bins, H, W).
        boxes (Sequence[tuple]): Boxes (x1, y1, x2, y2) to draw.
        names (Sequence[str]): What to write above each.
        scale (int): How many times larger everything becomes. Defaults to 1.

    Returns:
        np.ndarray: The picture, uint8 of shape (scale * H, 3 * scale * W, 3).
    """
    size = (frame.shape[1] * scale, frame.shape[0] * scale)
    frame = cv2.resize(frame, size, interpolation=cv2.INTER_NEAREST)
    total = np.asarray(grid, np.float32).sum(0, keepdims=True)
    total = cv2.resize(total[0], size, interpolation=cv2.INTER_NEAREST)[None]
    grey = np.full_like(frame, 255)
    boxes = [tuple(value * scale for value in box[:4]) for box in boxes]
    return np.hstack([frame, overlay(grey, total), overlay(frame, total, boxes, names)])


def draw_sequence(folder: str | os.PathLike, index: int, view: str, window_ms: int = 50
                  ) -> np.ndarray:
    """Draw a frame of a DSEC sequence with its events, realigned from the calibration.

    Args:
        folder (str | os.PathLike): The sequence.
        index (int): Number of the frame.
        view (str): ``'distorted'`` or ``'rectified'``.
        window_ms (int): Milliseconds of events before the frame. Defaults to 50.

    Returns:
        np.ndarray: The picture, uint8 of shape (480, 1920, 3).

    Raises:
        UserError: If a file is missing or cannot be used.
    """
    folder = Path(folder)
    source = folder / f'images/left/rectified/{index:06d}.png'
    if not source.is_file():
        raise UserError(f'Frame {source} is missing; give the folder of a DSEC sequence and the '
                        'number of one of its frames.')
    frame = LoadImage()({'img_path': str(source)})['img']
    rectify = read_rectify_map(folder / 'events/left/rectify_map.h5')
    calibration = Calibration.read(folder / 'calibration/cam_to_cam.yaml')
    times = read_times(folder / 'images/timestamps.txt')
    if not 0 <= index < len(times):
        raise UserError(f'{folder}/images/timestamps.txt has no time for frame {index}; '
                        'fetch it again.')
    time = int(times[index])
    with DSECEventFile(folder / 'events/left/events.h5') as file:
        events = file.slice(time - 1000 * window_ms, time)
    if view == 'rectified':
        events = rectify_events(events, rectify)
    return beside(warp_frame(frame, frame_map(calibration, view, rectify)), _grid(events, 480, 640))


def _grid(events: Events, height: int, width: int) -> np.ndarray:
    return voxel_grid(events.x, events.y, events.t, events.polarity, 1, height, width)


def draw_records(annotations: str | os.PathLike, data_root: str, classes: Sequence[str],
                 count: int) -> list[tuple[str, np.ndarray]]:
    """Draw frames of an annotation file with their events and boxes, as a network gets them.

    Args:
        annotations (str | os.PathLike): What ``dsec_to_coco.py`` or ``ddd17_to_coco.py`` wrote.
        data_root (str): The root of its files.
        classes (Sequence[str]): Names of its classes.
        count (int): How many frames, evenly spread.

    Returns:
        list[tuple[str, np.ndarray]]: A name for each, and its picture, uint8.
    """
    dataset = EventFrameDataset(
        data_root=data_root, ann_file=os.path.abspath(annotations), test_mode=True,
        metainfo=dict(classes=tuple(classes)), pipeline=[
            dict(type='LoadImage'), dict(type='LoadEvents')])
    found = []
    for index in np.unique(np.linspace(0, len(dataset) - 1, count).round().astype(int)):
        found.append(_record(dataset, int(index), classes))
    return found


def _record(dataset: EventFrameDataset, index: int, classes: Sequence[str]
            ) -> tuple[str, np.ndarray]:
    sample = dataset[index]
    height, width = sample['img'].shape[:2]
    if 'events' in sample:
        grid = _grid(sample['events'], height, width)
    else:
        grid = sample['voxels'].transpose(2, 0, 1)
    boxes = [(box['bbox'], classes[box['bbox_label']]) for box in sample['instances']]
    name = f'{index:06d}_{os.path.splitext(os.path.basename(sample["img_path"]))[0]}.png'
    return name, beside(sample['img'], grid, [box for box, _ in boxes], [n for _, n in boxes])
