"""DSEC and PKU-DDD17-Car in miniature, in their real formats."""
from pathlib import Path

import cv2
import h5py
import hdf5plugin
import numpy as np

from eca_mm.events import write_dsec_events
from tests.support.events import random_events, write_calibration

START = 10**10
TRACKS = [('t', '<u8'), ('x', '<f8'), ('y', '<f8'), ('h', '<f8'), ('w', '<f8'),
          ('class_id', 'u1'), ('class_confidence', '<f8'), ('track_id', '<u8')]


def write_sequence(folder: Path, frames: int = 3, aligned: bool = False, seed: int = 0) -> None:
    """A sequence of DSEC: recording, map, calibration, frames and their times."""
    for part in ('events/left', 'images/left/rectified', 'calibration'):
        (folder / part).mkdir(parents=True)
    events = random_events(4000, start=START, duration=50_000 * frames + 1000, seed=seed)
    write_dsec_events(folder / 'events/left/events.h5', events, START)
    places = np.stack(np.meshgrid(np.arange(640.), np.arange(480.)), -1).astype('<f4') + .25
    with h5py.File(folder / 'events/left/rectify_map.h5', 'w') as file:
        file.create_dataset('rectify_map', data=places, **hdf5plugin.Blosc(cname='zstd'))
    write_calibration(folder / 'calibration/cam_to_cam.yaml')
    times = START + 50_000 * np.arange(1, frames + 1)
    (folder / 'images/timestamps.txt').write_text(''.join(f'{time}\n' for time in times))
    rng = np.random.default_rng(seed)
    for index in range(frames):
        # Patches, for noise takes seconds to compress.
        picture = cv2.resize(rng.integers(0, 256, (27, 36, 3), np.uint8), (1440, 1080),
                             interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / f'images/left/rectified/{index:06d}.png'), picture)
        if aligned:
            (folder / 'images/left/distorted').mkdir(exist_ok=True)
            cv2.imwrite(str(folder / f'images/left/distorted/{index:06d}.png'),
                        picture[:480, :640])


def write_tracks(folder: Path, boxes: list[tuple], reverse: bool = False) -> None:
    """A tracks.npy of (frame, x, y, w, h, class); its fields in the one or the other order."""
    tracks = np.zeros(len(boxes), TRACKS[::-1] if reverse else TRACKS)
    for row, (frame, x, y, w, h, label) in zip(tracks, boxes, strict=True):
        for name, value in dict(t=START + 50_000 * (frame + 1), x=x, y=y, w=w, h=h, class_id=label,
                                class_confidence=.5, track_id=7).items():
            row[name] = value
    (folder / 'object_detections/left').mkdir(parents=True)
    np.save(folder / 'object_detections/left/tracks.npy', tracks)


def write_ddd17(root: Path, names: dict[str, list[str]]) -> None:
    """Frames and voxel grids of PKU-DDD17-Car, by folder."""
    rng = np.random.default_rng(0)
    for folder, stems in names.items():
        for part in ('aps_images', 'dvs_events'):
            (root / f'images/{folder}/{part}').mkdir(parents=True)
        for stem in stems:
            cv2.imwrite(str(root / f'images/{folder}/aps_images/{stem}.png'),
                        rng.integers(0, 256, (260, 346), np.uint8))
            np.savez(root / f'images/{folder}/dvs_events/{stem}.npz',
                     rng.normal(size=(5, 260, 346)).astype(np.float32))
