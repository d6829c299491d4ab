"""CIFAR-10 from the disk: images in class folders or torchvision's pickles."""
from pathlib import Path

import cv2
import numpy as np
from mmengine.registry import DATASETS
from mmpretrain.datasets import CIFAR10

from eca_mm.utils.errors import UserError

from .image_header import stated_size
from .loading import LoadImage

_LOADER = LoadImage()


@DATASETS.register_module()
class CheckedCIFAR10(CIFAR10):
    """mmpretrain's CIFAR10 that also reads images in class folders, and downloads nothing.

    ``data_root`` holds either ``train/<class>/*`` and ``test/<class>/*``, images of 32 x 32 pixels
    (JPEG, PNG), or ``cifar-10-batches-py/``, the files that torchvision and mmpretrain unpack.
    Labels are the positions of the classes in ``metainfo['classes']``, by default CIFAR's own
    order (airplane, automobile ...). All images are held in memory, as RGB.

    Args:
        data_root (str): The folder with the data.
        split (str): ``'train'`` or ``'test'``. Defaults to ``'train'``.
        **kwargs: All other arguments of :class:`mmpretrain.datasets.CIFAR10`.

    Raises:
        UserError: If ``data_root`` holds neither, the class folders are not those of the classes,
            a class has no image, or a file is not an image of 32 x 32 pixels.
    """

    def __init__(self, data_root: str = '', split: str = 'train', **kwargs: object) -> None:
        super().__init__(data_root=data_root, split=split, **{'download': False, **kwargs})

    def load_data_list(self) -> list[dict]:
        """Read all images.

        Returns:
            list[dict]: ``img``, an array of shape (32, 32, 3) in RGB order, and ``gt_label``.
        """
        root = Path(self.data_prefix['root'])
        if (root / self.split).is_dir():
            return self._read_folders(root / self.split)
        if not (root / self.base_folder).is_dir():
            raise UserError(f'{root} has neither a folder {self.split}/ with one folder of images '
                            f'for each class nor {self.base_folder}/ as torchvision unpacks it; '
                            'set data_root to where CIFAR-10 is.')
        if not self._check_integrity():
            raise UserError(f'A file of {root / self.base_folder} is missing or damaged; unpack '
                            f'{self.filename} again.')
        return super().load_data_list()

    def _read_folders(self, folder: Path) -> list[dict]:
        classes = self.metainfo['classes']
        found = sorted(path.name for path in folder.iterdir() if path.is_dir())
        if found != sorted(classes):
            differing = sorted(set(found) ^ set(classes))
            raise UserError(f'The folders in {folder} are not those of the {len(classes)} classes '
                            f'({", ".join(differing[:5])} on one side only); rename them, or set '
                            'metainfo=dict(classes=...) of the data sets.')
        data = []
        for label, name in enumerate(classes):
            paths = sorted(path for path in (folder / name).iterdir() if path.is_file())
            if not paths:
                raise UserError(f'{folder / name} has no image; unpack the data again.')
            data += [dict(img=_read(path), gt_label=label) for path in paths]
        return data


def _read(path: Path) -> np.ndarray:
    size = stated_size(path.read_bytes())
    if size not in (None, (32, 32)):
        raise UserError(f'{path} is an image of {size[0]} x {size[1]} pixels, not 32 x 32; correct '
                        'or remove it.')
    try:
        image = _LOADER({'img_path': str(path)})['img']
    except UserError as error:
        raise UserError(f'{path} cannot be read as an image; correct or remove it ({error})'
                        ) from error
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
