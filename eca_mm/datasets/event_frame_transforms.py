"""From a frame and its events to one map, which mmdet's transforms then treat as an image."""
from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS

from eca_mm.events import DSECEventFile, read_rectify_map, rectify_events, voxel_grid
from eca_mm.utils.errors import UserError
from eca_mm.utils.regular_files import check_regular
from eca_mm.utils.terminal import printable

# Recordings and maps that a worker keeps: DSEC has 60 sequences, and a map takes 2.5 MB.
_KEPT = 64
# Bins of a published grid; the usual number is 5.
_MOST_BINS = 256


class _Recent:
    """The files opened last, by path; dropped when it is sent to another process."""

    def __init__(self) -> None:
        self._values: OrderedDict = OrderedDict()

    def __getstate__(self) -> dict:
        return dict(_values=OrderedDict())

    def get(self, key: tuple, make: Callable[[], Any]) -> Any:
        if key not in self._values:
            self._values[key] = make()
            if len(self._values) > _KEPT:
                self._values.popitem(last=False)
        self._values.move_to_end(key)
        return self._values[key]


@TRANSFORMS.register_module()
class LoadEvents(BaseTransform):
    """Read the events of a frame: a window of a recording, or a published voxel grid.

    Needs ``event_path``, ``event_window``, ``view``, ``height`` and ``width``, as
    :class:`EventFrameDataset` gives them. Writes ``events`` (:class:`eca_mm.events.Events`, in the
    rectified view with fractional places) for a recording, ``voxels`` (float32, of shape (H, W, B))
    for the array ``arr_0`` of shape (B, H, W) of a ``.npz`` file.
    """

    def __init__(self) -> None:
        self._files, self._maps = _Recent(), _Recent()

    def transform(self, results: dict) -> dict:
        """Load the events of one sample.

        Args:
            results (dict): The sample.

        Returns:
            dict: The sample with its events.

        Raises:
            UserError: If the file cannot be used, has another size than the frame, if the window
                lies outside of the recording, or the sample does not say where its events are.
        """
        needed = ['event_path', 'height', 'width']
        if not str(results.get('event_path')).endswith('.npz'):
            needed += ['event_window', 'view']
            needed += ['rectify_map_path'] * (results.get('view') == 'rectified')
        lacking = [key for key in needed if results.get(key) is None]
        if lacking:
            raise UserError(f'LoadEvents got no {lacking[0]!r} for {results.get("img_path")}; use '
                            'EventFrameDataset, whose samples have it.')
        path, size = results['event_path'], (results['height'], results['width'])
        if path.endswith('.npz'):
            results['voxels'] = _read_grid(path, size)
            return results
        file = self._files.get((path, *size), lambda: DSECEventFile(path, *size))
        t0, t1 = results['event_window']
        events = file.slice(t0, t1)
        if not len(events) and (t1 <= file.start or t0 > file.end):
            raise UserError(f'Event file {path} lasts from {file.start} to {file.end} us, but the '
                            f'window of {results.get("img_path")} is {t0} to {t1} us; is it the '
                            'recording of this frame?')
        if results['view'] == 'rectified':
            rectify = results['rectify_map_path']
            events = rectify_events(events, self._maps.get(
                (rectify, *size), lambda: read_rectify_map(rectify, *size)))
        results['events'] = events
        return results


def _read_grid(path: str, size: tuple[int, int]) -> np.ndarray:
    try:
        check_regular(path)
        with zipfile.ZipFile(path) as archive, archive.open('arr_0.npy') as record:
            version = np.lib.format.read_magic(record)
            read_header = (np.lib.format.read_array_header_1_0 if version == (1, 0)
                           else np.lib.format.read_array_header_2_0)
            shape, _, dtype = read_header(record)
            # Before it is read: a few bytes can state any size.
            if (len(shape) != 3 or shape[1:] != size or not 0 < shape[0] <= _MOST_BINS
                    or dtype.kind not in 'fiu'):
                raise UserError(
                    f'Event file {path} has an array of shape {shape} and type {dtype}, but '
                    f'numbers of shape (bins, {size[0]}, {size[1]}) are expected, the size of its '
                    'frame.')
            record.seek(0)
            grid = np.lib.format.read_array(record, allow_pickle=False)
    except UserError:
        raise
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, NotImplementedError,
            zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"Event file {path} cannot be read as a .npz with the array 'arr_0' "
                        f'({printable(error)}); download it again.') from error
    if grid.dtype.kind == 'f' and not np.isfinite(grid).all():
        raise UserError(f'Event file {path} has NaN or infinite numbers; download it again.')
    return np.ascontiguousarray(grid.transpose(1, 2, 0), np.float32)


@TRANSFORMS.register_module()
class EventsToVoxelGrid(BaseTransform):
    """Make a voxel grid of the last events before a frame.

    Needs ``events`` or ``voxels`` of :class:`LoadEvents`; writes ``voxels``, float32 of shape
    (H, W, bins). The first bin stands for the window's start, the last for its end.

    Args:
        bins (int): Number of bins. Defaults to 5.
        window_ms (float): Length of the window before the end of ``event_window``, in
            milliseconds. Defaults to 50. A published grid has its own.
    """

    def __init__(self, bins: int = 5, window_ms: float = 50) -> None:
        if isinstance(bins, bool) or not isinstance(bins, int) or bins < 1:
            raise ValueError(f'bins is {bins!r}, but must be a positive integer.')
        if isinstance(window_ms, bool) or not isinstance(window_ms, int | float) or not (
                0 < window_ms < math.inf):
            raise ValueError(f'window_ms is {window_ms!r}, but must be positive and finite.')
        self.bins, self.window_ms = bins, window_ms

    def transform(self, results: dict) -> dict:
        """Make the voxel grid of one sample.

        Args:
            results (dict): The sample.

        Returns:
            dict: The sample with its voxel grid.

        Raises:
            UserError: If a published grid has another number of bins, the record's window is
                shorter than the one asked for, or LoadEvents is missing.
        """
        if 'events' not in results and 'voxels' not in results:
            raise UserError('EventsToVoxelGrid got no events; put LoadEvents before it in the '
                            'pipeline.')
        if 'events' not in results:
            found = results['voxels'].shape[-1]
            if found != self.bins:
                raise UserError(f'Event file {results["event_path"]} has {found} bins, but '
                                f'EventsToVoxelGrid(bins={self.bins}) is set; set bins={found}.')
            return results
        t0, t1 = results['event_window']
        start = t1 - round(1000 * self.window_ms)
        if start < t0:
            raise UserError(
                f'EventsToVoxelGrid(window_ms={self.window_ms}) asks for more than the '
                f'{(t1 - t0) / 1000:g} ms that the annotation file gives to '
                f'{os.path.basename(results["event_path"])}; convert it again with --window-ms '
                f'{self.window_ms:g}.')
        events = results['events']
        if start > t0:
            events = events.select(slice(int(np.searchsorted(events.t, start)), None))
        grid = voxel_grid(events.x, events.y, events.t, events.polarity, self.bins,
                          results['height'], results['width'], t0=start, t1=t1)
        results['voxels'] = np.ascontiguousarray(grid.transpose(1, 2, 0), np.float32)
        return results


@TRANSFORMS.register_module()
class StackEvents(BaseTransform):
    """Put the voxel grid behind the frame's channels.

    ``img`` becomes one float32 map of shape (H, W, 3 + bins), so that the transforms of mmdet
    that move pixels (flip, resize, crop, pad) move frame, events and boxes together. Those that
    change colours take three channels: they belong before this one.
    """

    def transform(self, results: dict) -> dict:
        """Stack one sample.

        Args:
            results (dict): The sample with ``img`` and ``voxels``.

        Returns:
            dict: The sample with one map.

        Raises:
            UserError: If frame and voxel grid differ in size, or there is no voxel grid.
        """
        if 'voxels' not in results:
            raise UserError('StackEvents got no voxel grid; put LoadEvents and EventsToVoxelGrid '
                            'before it in the pipeline.')
        image, voxels = results['img'], results.pop('voxels')
        results.pop('events', None)
        if image.shape[:2] != voxels.shape[:2]:
            raise UserError(f'{results.get("img_path")} has {image.shape[1]} x {image.shape[0]} '
                            f'pixels, but its events {voxels.shape[1]} x {voxels.shape[0]}; put '
                            'StackEvents before transforms that change the size.')
        image = image[..., None] if image.ndim == 2 else image
        results['img'] = np.concatenate([image.astype(np.float32), voxels], -1)
        # Detectors want to know it, also where nothing is resized.
        results.setdefault('scale_factor', (1., 1.))
        return results
