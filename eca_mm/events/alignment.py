"""Frames and events in one view: DSEC's two left cameras stand side by side.

The rectified cameras share one orientation, so at infinite depth a homography leads from one
picture to the other. Events are given as the sensor saw them (the *distorted* view); a map gives
their places in the *rectified* view.
"""
from __future__ import annotations

import io
import os
from dataclasses import dataclass

import cv2
import numpy as np
import yaml

from eca_mm.compat.data_files import SafeYamlHandler
from eca_mm.utils.errors import UserError
from eca_mm.utils.regular_files import read_text
from eca_mm.utils.terminal import printable

from .arrays import Events
from .hdf5 import open_hdf5, open_numbers

VIEWS = ('distorted', 'rectified')
# Bytes of a calibration; DSEC's have 3 kB.
_LARGEST = 2**20


@dataclass(frozen=True)
class Calibration:
    """The left event camera (0) and the left frame camera (1), both rectified.

    Attributes:
        k_event (np.ndarray): Intrinsics of the rectified event camera, of shape (3, 3).
        k_frame (np.ndarray): Intrinsics of the rectified frame camera, of shape (3, 3).
        r_event (np.ndarray): Rotation from the event camera to its rectified form, (3, 3).
        r_frame (np.ndarray): Rotation from the frame camera to its rectified form, (3, 3).
        r_frame_from_event (np.ndarray): Rotation from the event to the frame camera, (3, 3).
    """

    k_event: np.ndarray
    k_frame: np.ndarray
    r_event: np.ndarray
    r_frame: np.ndarray
    r_frame_from_event: np.ndarray

    @classmethod
    def read(cls, path: str | os.PathLike) -> Calibration:
        """Read a ``cam_to_cam.yaml``.

        Args:
            path (str | os.PathLike): The file.

        Returns:
            Calibration: Its content.

        Raises:
            UserError: If it cannot be read, or lacks something or has it in another form.
        """
        try:
            # Bounded in depth and in what its aliases stand for.
            content = SafeYamlHandler().load_from_fileobj(io.StringIO(read_text(path, _LARGEST)))
        except (OSError, ValueError, yaml.YAMLError) as error:
            reason = getattr(error, 'strerror', None) or ' '.join(str(error).split())
            raise UserError(f'Calibration {path} cannot be read ({reason}); download it again.'
                            ) from error
        return cls(_intrinsics(path, content, 'camRect0'), _intrinsics(path, content, 'camRect1'),
                   _matrix(path, content, 'R_rect0'), _matrix(path, content, 'R_rect1'),
                   _matrix(path, content, 'T_10'))

    @property
    def homography(self) -> np.ndarray:
        """From pixels of the rectified frame to the rectified event view, of shape (3, 3)."""
        return (self.k_event @ self.r_event @ self.r_frame_from_event.T @ self.r_frame.T
                @ np.linalg.inv(self.k_frame))


def _value(path: str | os.PathLike, content: object, *keys: str) -> object:
    for key in keys:
        if not isinstance(content, dict) or key not in content:
            raise UserError(f'Calibration {path} has no {".".join(keys)}; a cam_to_cam.yaml of '
                            'DSEC is expected.')
        content = content[key]
    return content


def _numbers(path: str | os.PathLike, content: object, shape: tuple, *keys: str) -> np.ndarray:
    value = _value(path, content, *keys)
    try:
        array = np.array(value, np.float64)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.shape != shape or not np.isfinite(array).all():
        raise UserError(f'Calibration {path} has {".".join(keys)} = {printable(value)}, but '
                        f'numbers of shape {shape} are expected.')
    return array


def _intrinsics(path: str | os.PathLike, content: object, camera: str) -> np.ndarray:
    fx, fy, cx, cy = _numbers(path, content, (4, ), 'intrinsics', camera, 'camera_matrix')
    if min(fx, fy) <= 0:
        raise UserError(f'Calibration {path} has the focal lengths {fx} and {fy} of {camera}, but '
                        'positive ones are expected; fetch it again.')
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


def _matrix(path: str | os.PathLike, content: object, name: str) -> np.ndarray:
    size = 4 if name.startswith('T') else 3
    rotation = _numbers(path, content, (size, size), 'extrinsics', name)[:3, :3]
    if not (np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3)
            and np.linalg.det(rotation) > 0):
        raise UserError(f'Calibration {path} has an extrinsics.{name} that is not a rotation; '
                        'fetch it again.')
    return rotation


def read_rectify_map(path: str | os.PathLike, height: int = 480, width: int = 640) -> np.ndarray:
    """Read a ``rectify_map.h5``.

    Args:
        path (str | os.PathLike): The file.
        height (int): Rows of the sensor. Defaults to 480.
        width (int): Columns of the sensor. Defaults to 640.

    Returns:
        np.ndarray: The rectified place (x, y) of every pixel, float32 of shape (H, W, 2).

    Raises:
        UserError: If the file cannot be read or holds no such map.
    """
    with open_hdf5(path, 'Rectification map') as file:
        try:
            found = open_numbers(file, 'rectify_map', 'Rectification map')
            shape = (0, ) if found is None else found.shape
            # Only what has the right size is read.
            values = found[()] if found is not None and shape == (height, width, 2) else None
        except UserError:
            raise
        except (OSError, KeyError, RuntimeError) as error:
            raise UserError(f'Rectification map {path} is damaged ({error}); download it again.'
                            ) from error
    if values is None:
        raise UserError(f'Rectification map {path} has a rectify_map of shape {shape}, '
                        f'but {(height, width, 2)} is expected.')
    if not np.isfinite(values).all():
        raise UserError(f'Rectification map {path} has places that are not finite numbers; '
                        'fetch it again.')
    return values.astype(np.float32)


def rectify_events(events: Events, rectify_map: np.ndarray) -> Events:
    """Move events to the rectified view.

    Args:
        events (Events): As the sensor saw them.
        rectify_map (np.ndarray): Of shape (H, W, 2).

    Returns:
        Events: With fractional places, some of which may lie outside of the sensor.

    Raises:
        ValueError: If the map has another shape, or an event is not on one of its pixels.
    """
    shape = np.shape(rectify_map)
    if len(shape) != 3 or shape[2] != 2:
        raise ValueError(f'The rectify_map has the shape {shape}, but must have (H, W, 2).')
    if not len(events):
        nowhere = np.zeros(0, np.float32)
        return Events(nowhere, nowhere, events.t, events.polarity)
    for name, values, size in (('x', events.x, shape[1]), ('y', events.y, shape[0])):
        if values.dtype.kind not in 'ui' or values.min() < 0 or values.max() >= size:
            raise ValueError(f'The events have {name} from {values.min()} to {values.max()} of the '
                             f'type {values.dtype}, but must lie on whole pixels from 0 to '
                             f'{size - 1}, those of the rectify_map.')
    place = rectify_map[events.y, events.x]
    return Events(place[:, 0], place[:, 1], events.t, events.polarity)


def frame_map(calibration: Calibration,
              view: str,
              rectify_map: np.ndarray | None = None,
              height: int = 480,
              width: int = 640) -> np.ndarray:
    """Where in the rectified frame the pixels of an event view look.

    Args:
        calibration (Calibration): The two cameras.
        view (str): ``'distorted'`` or ``'rectified'``.
        rectify_map (np.ndarray, optional): Of shape (H, W, 2), for the distorted view.
        height (int): Rows of the view. Defaults to 480.
        width (int): Columns of the view. Defaults to 640.

    Returns:
        np.ndarray: Places (x, y) in the frame, in double precision, of shape (H, W, 2).

    Raises:
        ValueError: If the view is unknown, or the distorted one comes without its map.
    """
    if view not in VIEWS:
        raise ValueError(f'view is {view!r}, but must be one of {VIEWS}.')
    if view == 'rectified':
        place = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float64)
    elif rectify_map is None:
        raise ValueError("The view 'distorted' needs the rectify_map of its sequence.")
    else:
        place = rectify_map.astype(np.float64)
    ray = np.concatenate([place, np.ones_like(place[..., :1])], -1)
    ray = ray @ np.linalg.inv(calibration.homography).T
    return ray[..., :2] / ray[..., 2:]


def warp_frame(frame: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Draw a frame in an event view.

    Args:
        frame (np.ndarray): The rectified frame, of shape (H', W') or (H', W', 3).
        places (np.ndarray): What :func:`frame_map` gives, of shape (H, W, 2).

    Returns:
        np.ndarray: Of shape (H, W) or (H, W, 3); black where the frame does not reach.

    Raises:
        ValueError: If the frame is not a picture, or the places have another shape.
    """
    # OpenCV crashes without a frame.
    if not isinstance(frame, np.ndarray) or frame.ndim not in (2, 3) or not frame.size:
        raise ValueError(f'The frame has the shape {np.shape(frame)}, but must be a picture of '
                         "shape (H', W') or (H', W', 3).")
    if places.ndim != 3 or places.shape[2] != 2:
        raise ValueError(f'places has the shape {places.shape}, but must have (H, W, 2).')
    return cv2.remap(frame, places.astype(np.float32), None, cv2.INTER_LINEAR,
                     borderMode=cv2.BORDER_CONSTANT, borderValue=0)
