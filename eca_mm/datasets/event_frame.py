"""Frames with the events before them, in COCO's format with three more fields per image.

``event_file`` is a recording (``.h5``) or a voxel grid (``.npz``) below ``data_prefix['events']``,
``event_window`` its time [t0, t1) in microseconds (null for a grid), and ``view`` how frame and
events are aligned: ``'distorted'``, ``'rectified'``, or ``'frame'`` for one sensor that gives both.
``rectify_map`` names the map of the rectified view.
"""
from __future__ import annotations

import os
from typing import Any

from mmengine.registry import DATASETS

from eca_mm.utils.errors import UserError
from eca_mm.utils.listing import some

from .coco import CheckedCocoDataset
from .image_files import ImageRoots

VIEWS = ('distorted', 'rectified', 'frame')


@DATASETS.register_module()
class EventFrameDataset(CheckedCocoDataset):
    """Frames, events and boxes, checked when the data set is built.

    ``tools/dataset_tools/dsec_to_coco.py`` and ``ddd17_to_coco.py`` write its annotation files.
    Each entry has ``event_path``, ``event_window``, ``view`` and ``rectify_map_path`` (or None)
    besides what mmdet gives.

    Args:
        data_prefix (dict, optional): Folders of the frames (``img``) and of the event files
            (``events``). Both are the data root by default.
        **kwargs: All other arguments of :class:`CheckedCocoDataset`.

    Raises:
        UserError: As :class:`CheckedCocoDataset`, and if an image's record has no events or such
            as cannot be used, or an event file is missing.
    """

    def __init__(self, *args: Any, data_prefix: dict | None = None, **kwargs: Any) -> None:
        # The converters write all names below the data root.
        super().__init__(*args, data_prefix={'img': '', **(data_prefix or {})}, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read and check the annotation file, and look for the event files.

        Returns:
            list[dict]: One entry per frame.
        """
        self._event_folder = self.data_prefix.get('events') or self.data_root or ''
        self._event_roots = ImageRoots(self.data_root or '', self._event_folder,
                                       self.allow_outside)
        data_list = super().load_data_list()
        paths = {data[key] for data in data_list for key in ('event_path', 'rectify_map_path')}
        absent = sorted(path for path in paths - {None} if not os.path.isfile(path))
        if absent:
            raise UserError(f'{len(absent)} of {len(paths - {None})} event files of '
                            f'{self.ann_file} do not exist ({some(absent)}); check data_root and '
                            "data_prefix['events'] of the config.")
        return data_list

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Convert one frame's record.

        Args:
            raw_data_info (dict): ``raw_img_info`` and ``raw_ann_info`` from the COCO index.

        Returns:
            dict: The frame's entry.
        """
        image = raw_data_info['raw_img_info']
        problem = _problem(image)
        if problem:
            raise UserError(f'Annotation file {self.ann_file}: image {image["id"]} {problem}; '
                            'write it again with tools/dataset_tools/dsec_to_coco.py or '
                            'ddd17_to_coco.py.')
        entry = super().parse_data_info(raw_data_info)
        window = image.get('event_window')
        entry.update(event_path=self._path(image, 'event_file'), view=image['view'],
                     event_window=None if window is None else tuple(window),
                     rectify_map_path=self._path(image, 'rectify_map'))
        return entry

    def _path(self, image: dict, key: str) -> str | None:
        name = image.get(key)
        if name is None:
            return None
        if not self._event_roots.contains(name):
            raise UserError(f'Annotation file {self.ann_file}: image {image["id"]} has the {key} '
                            f'{name!r}, which leads out of the data root; correct it, or set '
                            'allow_outside=True of the data set.')
        return os.path.join(self._event_folder, name)


def _problem(image: dict) -> str:
    """What is wrong with a record's events; nothing for a good one."""
    def is_name(value: Any) -> bool:
        return isinstance(value, str) and bool(value) and '\0' not in value

    name: Any = image.get('event_file')
    window = image.get('event_window')
    if not is_name(name):
        return f'has the event_file {name!r}, which does not name a file'
    if not name.endswith(('.h5', '.hdf5', '.npz')):
        return f'has the event_file {name!r}, which is neither .h5 nor .npz'
    if image.get('view') not in VIEWS:
        return f'has the view {image.get("view")!r} instead of one of {VIEWS}'
    if window is None:
        return '' if name.endswith('.npz') else 'has a recording, but no event_window'
    if not (isinstance(window, list) and [type(time) for time in window] == [int, int]
            and window[0] < window[1]):
        return f'has the event_window {window!r} instead of two times in microseconds'
    if image['view'] == 'rectified' and not name.endswith('.npz') and not is_name(
            image.get('rectify_map')):
        return "has the view 'rectified', but no rectify_map"
    return ''
