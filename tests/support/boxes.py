"""Boxes, RoIs and maps that operators are tried on."""
import numpy as np

ROIS = np.array([
    [0, 1.3, 2.1, 17.9, 12.4],
    [1, 0.0, 0.0, 31.0, 23.0],     # all of the second image
    [1, 6.2, 5.9, 6.5, 6.3],       # less than a pixel of the feature map
    [0, 9.0, 9.0, 9.0, 9.0],       # nothing at all
    [0, -9.0, -5.5, 4.0, 60.0],    # partly outside
    [1, 90.0, 90.0, 99.0, 99.0],   # outside
    [0, 3.7, 20.2, 30.8, 23.9],    # ends at the border
])


def features(dtype):
    return np.random.default_rng(0).normal(size=(2, 3, 12, 16)).astype(dtype)


def crowd(n, seed, dtype=np.float32):
    """Boxes on whole pixels, many of them overlapping, with distinct scores."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 40, (n, 2))
    boxes = np.concatenate([corners, corners + rng.integers(1, 30, (n, 2))], axis=1)
    return boxes.astype(dtype), (rng.permutation(n) / n).astype(dtype)
