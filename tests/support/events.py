"""Events and calibrations for tests."""
import math

import numpy as np
import yaml

from eca_mm.events import Events


def random_events(count: int = 5000, height: int = 480, width: int = 640, start: int = 0,
                  duration: int = 100_000, seed: int = 0) -> Events:
    """Sorted events with whole pixels, several at the same time."""
    rng = np.random.default_rng(seed)
    return Events(
        rng.integers(0, width, count).astype(np.uint16),
        rng.integers(0, height, count).astype(np.uint16),
        start + np.sort(rng.integers(0, duration, count)),
        rng.integers(0, 2, count).astype(np.uint8))


def plain_voxel_grid(x, y, t, polarity, bins, height, width, t0=None, t1=None) -> np.ndarray:
    """The definition, event by event."""
    grid = np.zeros((bins, height, width))
    x, y, t, polarity = (np.asarray(values, float).tolist() for values in (x, y, t, polarity))
    if not len(t):
        return grid
    first, last = (min(t) if t0 is None else t0), (max(t) if t1 is None else t1)
    for column, row, time, sign in zip(x, y, t, polarity, strict=True):
        if not first <= time <= last or not (math.isfinite(column) and math.isfinite(row)):
            continue
        place = (bins - 1) * (float(time) - float(first)) / (last - first) if last > first else 0.
        for b in range(bins):
            for r in (math.floor(row), math.floor(row) + 1):
                for c in (math.floor(column), math.floor(column) + 1):
                    if 0 <= r < height and 0 <= c < width:
                        grid[b, r, c] += ((1 if sign > 0 else -1) * max(0, 1 - abs(place - b))
                                          * max(0, 1 - abs(row - r)) * max(0, 1 - abs(column - c)))
    return grid


def rotation(*angles: float) -> np.ndarray:
    """Rotation about the x, y and z axes in turn, angles in radians."""
    result = np.eye(3)
    for axis, angle in enumerate(angles):
        turn, (i, j) = np.eye(3), [k for k in range(3) if k != axis]
        turn[i, i] = turn[j, j] = math.cos(angle)
        turn[i, j], turn[j, i] = -math.sin(angle), math.sin(angle)
        result = turn @ result
    return result


def write_calibration(path, k_event=(555., 556., 320., 240.), k_frame=(1150., 1152., 715., 545.)
                      ) -> dict:
    """Write a cam_to_cam.yaml with the keys that DSEC's has, and return its content."""
    t_10 = np.eye(4)
    t_10[:3, :3], t_10[:3, 3] = rotation(.011, -.02, .006), (-.045, .001, -.003)
    content = dict(
        intrinsics={
            'cam0': dict(camera_model='pinhole', camera_matrix=[553.4, 553.4, 346.6, 216.5],
                         distortion_coeffs=[-.09, .19, 0., 0.], resolution=[640, 480]),
            'camRect0': dict(camera_matrix=list(k_event), resolution=[640, 480]),
            'camRect1': dict(camera_matrix=list(k_frame), resolution=[1440, 1080])},
        extrinsics=dict(T_10=t_10.tolist(), R_rect0=rotation(.004, .013, -.002).tolist(),
                        R_rect1=rotation(-.007, .009, .001).tolist()),
        disparity_to_depth=dict(cams_03=np.eye(4).tolist()))
    path.write_text(yaml.safe_dump(content))
    return content
