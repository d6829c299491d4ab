"""The pictures of a test, every one of them."""
import os
from collections.abc import Iterator, Sequence

import numpy as np
from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch.utils.data import Dataset

from eca_mm.datasets.loading import LoadImage
from eca_mm.engine.config import scope
from eca_mm.utils.outputs import check_targets
from eca_mm.utils.terminal import say

from .drawing import Drawer, picture_name, write_picture
from .fonts import legible_names


class SavePicturesHook(Hook):
    """Draw the predictions of a test, in every process, and keep the images' folders.

    Args:
        folder (str): Where the pictures go, each by its image's path below the data root.
        score_thr (float): Lowest score of boxes and masks to draw. Defaults to 0.3.
    """

    def __init__(self, folder: str, score_thr: float = .3) -> None:
        self.folder, self.score_thr = os.path.abspath(folder), score_thr
        self.written: list[str] = []

    def before_test(self, runner: Runner) -> None:
        """Name the pictures and make sure that none replaces an image of the test."""
        dataset = runner.test_dataloader.dataset
        self.names = picture_names(_paths(dataset))
        check_targets([os.path.join(self.folder, name) for name in self.names.values()],
                       self.names)
        meta = getattr(dataset, 'metainfo', {})
        classes, notes = legible_names([str(name) for name in meta.get('classes') or ()])
        self.drawer = Drawer(scope(runner.cfg) == 'mmdet', classes or None, meta.get('palette'),
                             self.score_thr)
        # The classes of a picture's own sample, not those of mmdet's palettes, decide.
        self.load = LoadImage(on_bad_image='skip', blank=True)
        for note in notes:
            runner.logger.warning(note)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                        outputs: Sequence[BaseDataElement] | None = None) -> None:
        """Draw the images of a batch."""
        for index, sample in enumerate(outputs or ()):
            path = sample.get('img_path')
            if path is None:
                image, name = _input(data_batch, index), self._number(runner, batch_idx, sample)
            else:
                # A data set may not list its images.
                image = self._image(path, sample)
                name = self.names.get(path) or picture_name(_relative(path))
            target = os.path.join(self.folder, name)
            write_picture(self.drawer.draw(image, sample), target)
            self.written.append(name)

    def after_test(self, runner: Runner) -> None:
        """Say how many pictures there are."""
        count = len(set().union(*all_gather_object(self.written)))
        if is_main_process():
            say(f'Pictures: {count} in {self.folder}')

    def _image(self, path: str, sample: BaseDataElement) -> np.ndarray:
        # A pipeline need not pack the size.
        size = dict(zip(('height', 'width'), sample.get('ori_shape') or (), strict=False))
        # As the model's own loading takes it, and black where that cannot.
        return self.load(dict(img_path=path, **size))['img'][..., ::-1]

    def _number(self, runner: Runner, batch_idx: int, sample: BaseDataElement) -> str:
        number = sample.get('sample_idx', f'{runner.rank}_{batch_idx}_{len(self.written)}')
        return f'{number:06d}.png' if isinstance(number, int) else f'{number}.png'


def picture_names(roots: dict[str, str | None]) -> dict[str, str]:
    """Name pictures after images so that no two have one name.

    Args:
        roots (dict[str, str | None]): The folder that each image's data set looks into, by the
            image's path.

    Returns:
        dict[str, str]: For each path the name of its picture: the path below that folder, or below
        the folder that all images have in common, where two names would be equal.
    """
    names = {path: _below(path, root) for path, root in roots.items()}
    if len({name and picture_name(name) for name in names.values()}) < len(names) or (
            None in names.values()):
        inner = {path: os.path.abspath(_inner(path)) for path in roots}
        common = os.path.commonpath([os.path.dirname(path) for path in inner.values()] or ['/'])
        names = {path: os.path.relpath(other, common) for path, other in inner.items()}
    pictures: dict[str, str] = {}
    taken: set[str] = set()
    for path, name in names.items():
        # 1.gif becomes 1.gif.png, which may be another image's name.
        picture, number = picture_name(name or path), 1
        stem, suffix = os.path.splitext(picture)
        while picture in taken:
            number += 1
            picture = f'{stem}_{number}{suffix}'
        taken.add(picture)
        pictures[path] = picture
    return pictures


def _below(path: str, root: str | None) -> str | None:
    if not root:
        return None
    name = os.path.relpath(_inner(path), _inner(root))
    return None if name.startswith(os.pardir) else name


def _relative(path: str) -> str:
    """The whole path, as one below a folder."""
    return os.path.splitdrive(os.path.abspath(_inner(path)))[1].lstrip(os.sep)


def _inner(path: str) -> str:
    """The path of a URL, or the path itself."""
    return path.partition('://')[2] or path


def _paths(dataset: Dataset) -> dict[str, str | None]:
    """The images of a data set, and of those that it is made of, with the folder of each."""
    found: dict[str, str | None] = {}
    for part in _parts(dataset):
        prefix = getattr(part, 'data_prefix', None) or {}
        root = prefix.get('img') or prefix.get('img_path') or getattr(part, 'data_root', None)
        for index in range(len(part)):
            info = part.get_data_info(index)
            if info.get('img_path'):
                found[info['img_path']] = root
    return found


def _parts(dataset: Dataset) -> Iterator[Dataset]:
    inner = getattr(dataset, 'datasets', None) or filter(
        None, [getattr(dataset, 'dataset', None)])
    inner = list(inner)
    for part in inner:
        yield from _parts(part)
    if not inner and hasattr(dataset, 'get_data_info'):
        yield dataset


def _input(data_batch: dict | None, index: int) -> np.ndarray:
    """What the model was given, for images that are not files."""
    image = (data_batch or {})['inputs'][index].cpu().numpy()
    image = image[:1].repeat(3, 0) if len(image) != 3 else image
    return image.transpose(1, 2, 0)[..., ::-1].clip(0, 255).astype(np.uint8)
