"""What a user wants predictions for: pictures, folders, patterns, videos, cameras."""
import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np

from eca_mm.utils.errors import UserError
from eca_mm.utils.outputs import same_file
from eca_mm.utils.terminal import printable

IMAGES = frozenset((
    '.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.bmp', '.dib', '.tif', '.tiff', '.webp', '.gif',
    '.ppm', '.pgm', '.pbm', '.pnm', '.jp2'))
VIDEOS = frozenset((
    '.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv', '.flv', '.mts',
    '.m2ts', '.3gp'))
_CAMERA = re.compile(r'(?:camera:|/dev/video)?(\d{1,4})')


@dataclass
class Sources:
    """What was found.

    Attributes:
        root (str): The folder that names of pictures are relative to.
        images (list[str]): Paths of pictures.
        videos (list[str]): Paths and addresses of videos, and ``camera:N``.
        others (list[str]): Files that are neither.
    """

    root: str
    images: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def name(self, path: str) -> str:
        """Name of a source below the root, for what is made of it."""
        if path.startswith('camera:'):
            return path.replace(':', '_') + '.mp4'
        if '://' in path:
            return (re.sub(r'\W+', '_', path.partition('://')[2]).strip('_') or 'stream') + '.mp4'
        return os.path.relpath(path, self.root)


def find_sources(text: str, leave_out: str | None = None) -> Sources:
    """Find what an argument names.

    Args:
        text (str): A picture, a video, a folder (searched with its sub-folders, linked ones too,
            without hidden ones), a pattern with ``*``, ``?``, ``[...]`` or ``**``, ``camera:N``,
            ``/dev/videoN`` or a number for a camera, or the address of a stream.
        leave_out (str, optional): A folder to pass over: where the results go.

    Returns:
        Sources: Pictures and videos, in order of their names.

    Raises:
        UserError: If there is nothing of that name, or neither a picture nor a video in it.
    """
    camera = _CAMERA.fullmatch(text)
    # A file may be called 1; a device is a camera.
    if camera and (text.startswith('/dev/') or not os.path.lexists(text)):
        return Sources('', videos=[f'camera:{camera[1]}'])
    if not os.path.lexists(text):
        if '://' in text:
            return Sources('', videos=[text])
        if not glob.has_magic(text):
            raise UserError(f'{printable(text)} does not exist; give a picture, a video, a folder '
                            'of them, a pattern such as "images/*.jpg", or camera:0.')
        found = Sources(_root(text))
        leave_out = None if _is_in(found.root, leave_out) else leave_out
        paths = sorted(path for path in glob.glob(text, recursive=True)
                       if not os.path.isdir(path) and not _is_in(path, leave_out))
    elif os.path.isdir(text):
        paths, found = list(_walk(text, leave_out)), Sources(text)
    else:
        paths, found = [text], Sources(os.path.dirname(text) or '.')
        if Path(text).suffix.lower() not in VIDEOS:
            # Whatever its name is, it was named: its content decides.
            found.images = paths
            return found
    for path in paths:
        suffix = Path(path).suffix.lower()
        kind = (found.images if suffix in IMAGES else found.videos if suffix in VIDEOS
                else found.others)
        kind.append(path)
    if not found.images and not found.videos:
        has = f'{len(found.others)} other files' if found.others else 'no files'
        raise UserError(f'{printable(text)} has {has} and neither a picture '
                        f'({", ".join(sorted(IMAGES))}) nor a video ({", ".join(sorted(VIDEOS))}).')
    return found


def _walk(folder: str, leave_out: str | None) -> Iterator[str]:
    seen = {os.path.realpath(folder)}
    for place, folders, files in os.walk(folder, followlinks=True):
        # A link may lead back to a folder above it.
        inner = {name: os.path.realpath(os.path.join(place, name)) for name in sorted(folders)}
        folders[:] = [name for name, real in inner.items() if not name.startswith('.')
                      and real not in seen and not (
                          leave_out and same_file(os.path.join(place, name), leave_out))]
        seen.update(inner[name] for name in folders)
        for name in sorted(files):
            if not name.startswith('.'):
                yield os.path.join(place, name)


def _is_in(path: str, folder: str | None) -> bool:
    if not folder:
        return False
    inside = os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
    return inside.partition(os.sep)[0] != os.pardir


def _root(pattern: str) -> str:
    """The folder before the first wildcard of a pattern."""
    parts = Path(pattern).parts
    fixed = [part for part in parts[:next(
        (i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts))]]
    return os.path.join(*fixed) if fixed else '.'


class Video:
    """The frames of a video file, a stream or a camera.

    Args:
        source (str): As :class:`Sources` has them.

    Raises:
        UserError: If it cannot be opened.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        if os.path.isfile(source):
            reader = mmcv.VideoReader(source)
            self.frames, self.fps, self.count = iter(reader), reader.fps, reader.frame_cnt
            usable = reader.opened and self.count > 0 and reader.width > 0
        else:
            capture = _open(source)
            self.frames, self.fps, self.count = _captured(capture), capture.get(
                cv2.CAP_PROP_FPS), None
            usable = capture.isOpened()
        if not usable:
            raise UserError(f'{printable(source)} cannot be opened as a video: {_reason(source)}.')
        # Some cameras and containers do not say.
        self.fps = self.fps if np.isfinite(self.fps) and 0 < self.fps < 1000 else 25.

    def __iter__(self) -> Iterator[np.ndarray]:
        """Give the frames, BGR of shape (H, W, 3), uint8; damaged ones are left out."""
        return (frame for frame in self.frames if frame is not None)


def _open(source: str) -> cv2.VideoCapture:
    camera = _CAMERA.fullmatch(source)
    if not camera:
        return cv2.VideoCapture(source)
    # OpenCV tells at length which of its backends found no camera.
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return cv2.VideoCapture(int(camera[1]))
    finally:
        cv2.utils.logging.setLogLevel(level)


def _reason(source: str) -> str:
    camera = _CAMERA.fullmatch(source)
    if camera:
        return (f'there is no camera number {camera[1]} (the first is camera:0), another program '
                f'uses it, or you may not read it (/dev/video{camera[1]})')
    if '://' in source:
        return 'nothing answers at that address, or with what OpenCV cannot read here'
    return 'it is damaged, or of a format that OpenCV cannot read here'


def _captured(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    while True:
        read, frame = capture.read()
        if not read:
            capture.release()
            return
        yield frame


class VideoFile:
    """An annotated video; it appears under its name when it is complete.

    Args:
        path (str): File to write, MP4.
        fps (float): Frames per second.
    """

    def __init__(self, path: str, fps: float) -> None:
        self.path, self.fps = path, fps
        self.writer: Any = None
        self.size: tuple[int, ...] = (0, 0)
        self.partial = os.path.join(os.path.dirname(path), f'.{os.getpid()}.{Path(path).name}')

    def add(self, frame: np.ndarray) -> None:
        """Append a frame, RGB of shape (H, W, 3), uint8; all have the size of the first.

        Raises:
            UserError: If OpenCV cannot write videos here.
        """
        if self.writer is None:
            os.makedirs(os.path.dirname(self.path) or '.', exist_ok=True)
            self.size = frame.shape[1::-1]
            self.writer = cv2.VideoWriter(self.partial, cv2.VideoWriter.fourcc(*'mp4v'), self.fps,
                                          self.size)
            if not self.writer.isOpened():
                raise UserError(f'{printable(self.path)} cannot be written: OpenCV has no MP4 '
                                'encoder here, or the folder cannot be written to.')
        if frame.shape[1::-1] != self.size:
            frame = cv2.resize(frame, self.size)
        self.writer.write(np.ascontiguousarray(frame[..., ::-1]))

    def close(self) -> bool:
        """Finish the file.

        Returns:
            bool: Whether there is one: not without a frame.
        """
        if self.writer is None:
            return False
        self.writer.release()
        os.replace(self.partial, self.path)
        return True
