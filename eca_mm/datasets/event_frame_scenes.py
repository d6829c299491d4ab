"""Drawn scenes with moving shapes, seen by a frame camera and a simulated event camera."""
from __future__ import annotations

import math
import os
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from mmengine.utils import track_iter_progress

from eca_mm.events import simulate_events, write_dsec_events
from eca_mm.utils.errors import UserError
from eca_mm.utils.terminal import say

from .event_frame_records import Frame, Report, write_split

CLASSES = ('circle', 'square', 'triangle')
# Frames 50 ms apart as DSEC's, and so many pictures in between for the event camera.
FRAME_US, STEPS = 50_000, 8
# Light of the exposure of a frame: well exposed, far too little, far too much.
EXPOSURES = dict(normal=1., under=0.03, over=12., black=0.)
_CORNERS = (40, 4, 3)


def draw_event_scenes(out: str | os.PathLike,
                      sequences: dict[str, int],
                      frames: int = 16,
                      height: int = 64,
                      width: int = 64,
                      seed: int = 0,
                      badly_exposed: float = 0.3) -> Report:
    """Write recordings of moving shapes with frames, events and boxes, in DSEC's formats.

    Circles, squares and triangles move over a still background. The event camera sees the scene's
    own light; the frame camera has stretches of frames that are far too dark or too bright, on
    which little is to be seen. A split named ``dark`` is the ``test`` split with all frames black.

    Args:
        out (str | os.PathLike): Folder to make. It appears when it is complete, not before.
        sequences (dict[str, int]): Number of recordings of every split.
        frames (int): Frames of a recording. Defaults to 16.
        height (int): Rows in pixels. Defaults to 64.
        width (int): Columns in pixels. Defaults to 64.
        seed (int): Seed of everything that is random. Defaults to 0.
        badly_exposed (float): Share of frames that are badly exposed in the training split. Others
            are all well exposed. Defaults to 0.3.

    Returns:
        Report: Frames and boxes by split.

    Raises:
        UserError: If ``out`` exists already.
    """
    out = Path(out)
    if out.exists():
        raise UserError(f'{out} exists already; name another folder.')
    out.parent.mkdir(parents=True, exist_ok=True)
    report = Report()
    with tempfile.TemporaryDirectory(prefix=f'.{out.name}.', dir=out.parent) as scratch:
        root = Path(scratch, 'new')
        for split, count in sequences.items():
            found: list[Frame] = []
            say(f'Drawing {count} recordings for {split}')
            for number in track_iter_progress(range(count)):
                # A generator per recording, the same for the test split and its dark version.
                rng = random.Random(f'{seed} {"test" if split == "dark" else split} {number}')
                exposures = _exposures(split, frames, badly_exposed, rng)
                found += _record(root, f'{split}_{number:03d}', frames, (height, width),
                                 exposures, rng)
            say()
            write_split(root / 'annotations', f'{split}.json', split, found, CLASSES, report)
        os.rename(root, out)
    report.files = [str(out / 'annotations' / os.path.basename(path)) for path in report.files]
    return report


def _exposures(split: str, frames: int, share: float, rng: random.Random) -> list[str]:
    """The exposure of every frame; bad ones come in stretches of four."""
    if split == 'dark':
        return ['black'] * frames
    if split != 'train':
        return ['normal'] * frames
    kinds = [rng.choice(('under', 'over', 'black')) if rng.random() < share else 'normal'
             for _ in range(math.ceil(frames / 4))]
    return [kinds[place // 4] for place in range(frames)]


class _Shape:
    """A shape that moves at constant speed and turns back at the border."""

    def __init__(self, size: tuple[int, int], rng: random.Random) -> None:
        self.size, self.label = size, rng.randrange(len(CLASSES))
        self.radius = min(size) * rng.uniform(.16, .26)
        self.start = [rng.uniform(self.radius, side - self.radius) for side in size]
        direction, speed = rng.uniform(0, 2 * math.pi), min(size) * rng.uniform(.7, 1.6)
        self.speed = [speed * math.sin(direction), speed * math.cos(direction)]
        # Standing on a side, give or take a tilt.
        self.turn = (math.pi / 2 - math.pi / _CORNERS[self.label]) + rng.uniform(-.35, .35)
        darkest, brightest = rng.choice(((.03, .1), (.6, .95)))
        self.light = [rng.uniform(darkest, brightest) for _ in range(3)]

    def corners(self, seconds: float) -> np.ndarray:
        """Corners (x, y) at a time, of shape (N, 2)."""
        centre = []
        for start, speed, side in zip(self.start, self.speed, self.size, strict=True):
            way = side - 2 * self.radius
            place = (start - self.radius + speed * seconds) % (2 * way)
            centre.append(self.radius + (place if place < way else 2 * way - place))
        count = _CORNERS[self.label]
        angles = self.turn + 2 * np.pi * np.arange(count) / count
        return np.stack([centre[1] + self.radius * np.cos(angles),
                         centre[0] + self.radius * np.sin(angles)], -1)


def _record(root: Path, name: str, frames: int, size: tuple[int, int], exposures: Sequence[str],
            rng: random.Random) -> list[Frame]:
    """Write a recording in DSEC's folders and return its frames."""
    folder = root / name
    for part in ('events/left', 'images/left/distorted'):
        (folder / part).mkdir(parents=True)
    noise = np.random.default_rng(rng.randrange(2**32))
    coarse = noise.uniform(.18, .45, (5, 6, 3)).astype(np.float32)
    background = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_LINEAR)
    shapes = [_Shape(size, rng) for _ in range(rng.randint(1, 2))]
    offset = 10**9
    times = offset + FRAME_US * np.arange(1, frames + 1)
    raster = np.linspace(0, FRAME_US * frames, STEPS * frames + 1)
    events = simulate_events(
        (_light(background, shapes, time * 1e-6).mean(-1) for time in raster), raster + offset,
        noise, threshold=.3, noise_rate=.2)
    write_dsec_events(folder / 'events/left/events.h5', events, offset)
    (folder / 'images/timestamps.txt').write_text(''.join(f'{time}\n' for time in times))
    found = []
    for index, (time, exposure) in enumerate(zip(times, exposures, strict=True)):
        seconds = (time - offset) * 1e-6
        light = _light(background, shapes, seconds) * EXPOSURES[exposure]
        light = light + noise.normal(0, .012, light.shape) * (exposure != 'black')
        image = f'{name}/images/left/distorted/{index:06d}.png'
        if not cv2.imwrite(str(root / image), (255 * light.clip(0, 1)).astype(np.uint8)):
            raise UserError(f'Cannot write {root / image}; is the disk full?')
        window = int(time) - FRAME_US, int(time)
        found.append(Frame(image, f'{name}/events/left/events.h5', window, 'distorted', size, name,
                           boxes=list(_boxes(shapes, seconds, size))))
    return found


def _light(background: np.ndarray, shapes: Sequence[_Shape], seconds: float) -> np.ndarray:
    """The scene's light, of shape (H, W, 3)."""
    picture = background.copy()
    for shape in shapes:
        # Sixteenths of a pixel, so that slow edges move too.
        points = np.rint(shape.corners(seconds) * 16).astype(np.int32)
        cv2.fillPoly(picture, [points], shape.light, cv2.LINE_8, 4)
    return picture


def _boxes(shapes: Sequence[_Shape], seconds: float, size: tuple[int, int]) -> Iterator[tuple]:
    """Boxes of the shapes that are not hidden by later ones."""
    cover = np.zeros(size, np.uint8)
    masks = []
    for number, shape in enumerate(shapes, 1):
        points = np.rint(shape.corners(seconds) * 16).astype(np.int32)
        cv2.fillPoly(cover, [points], number, cv2.LINE_8, 4)
        alone = np.zeros(size, np.uint8)
        cv2.fillPoly(alone, [points], 1, cv2.LINE_8, 4)
        masks.append(int(alone.sum()))
    for number, (shape, area) in enumerate(zip(shapes, masks, strict=True), 1):
        if (cover == number).sum() > area / 2:
            corners = shape.corners(seconds)
            yield (*corners.min(0).tolist(), *corners.max(0).tolist(), shape.label)
