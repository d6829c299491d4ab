"""Images with their classes, as a config's test pipeline prepares them."""
import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DATASETS, init_default_scope
from mmpretrain.datasets import CustomDataset
from torch import Tensor
from torch.utils.data import Dataset

from eca_mm.engine.config import scope
from eca_mm.engine.data_loaders import from_files
from eca_mm.utils.errors import UserError


@dataclass(frozen=True)
class LabelledImages:
    """Images of which the class is known.

    Attributes:
        dataset (Dataset): Gives ``{'inputs': Tensor (3, H, W), ...}`` by index.
        labels (np.ndarray): Classes of the images, integers of shape (N,).
        classes (tuple[str, ...]): Names of the classes.
        batch_size (int): How many fit into a batch without changing each other.
    """

    dataset: Dataset
    labels: np.ndarray
    classes: tuple
    batch_size: int

    def files(self) -> list[str]:
        """The files of the images, where they are files."""
        if not hasattr(self.dataset, 'get_data_info'):
            return []
        infos = map(self.dataset.get_data_info, range(len(self.labels)))
        return [info['img_path'] for info in infos if 'img_path' in info]

    def batches(self, max_per_class: int | None = None) -> Iterator[tuple[np.ndarray, list]]:
        """Go through the images.

        Args:
            max_per_class (int, optional): How many of a class, the first ones. Defaults to all.

        Yields:
            tuple[np.ndarray, list[Tensor]]: Labels of shape (N,), and N images (3, H, W).
        """
        chosen = np.arange(len(self.labels))
        if max_per_class is not None:
            rank = np.zeros(len(self.labels), dtype=int)
            for label in np.unique(self.labels):
                same = self.labels == label
                rank[same] = np.arange(same.sum())
            chosen = chosen[rank < max_per_class]
        for start in range(0, len(chosen), self.batch_size):
            part = chosen[start:start + self.batch_size]
            yield self.labels[part], [self.dataset[int(i)]['inputs'] for i in part]


def labelled_images(config: Config, data_root: str | None = None) -> LabelledImages:
    """Open the images of a config's validation set, or of a folder.

    Args:
        config (Config): Config of a classifier, or of a detector if ``data_root`` is given.
        data_root (str, optional): A folder with one folder of images for each class, to use
            instead of the config's own.

    Returns:
        LabelledImages: The images.

    Raises:
        UserError: If there is no such data, or its images have no class.
    """
    init_default_scope(scope(config))
    loader = config.get('val_dataloader') or config.get('test_dataloader')
    if loader is None:
        raise UserError('The config has no val_dataloader; use one that has, whose pipeline says '
                        'how images are prepared.')
    if data_root is None:
        dataset = DATASETS.build(loader.dataset)
        if not hasattr(dataset, 'get_gt_labels'):
            raise UserError(f"The images of the config's {type(dataset).__name__} have no class; "
                            'give --data-root with one folder of images for each class.')
    else:
        if not os.path.isdir(data_root):
            raise UserError(f'--data-root {data_root} is not a folder.')
        dataset = _folder(data_root, test_pipeline(config))
    # Detectors pad the images of a batch to one size, and the padding would count as image.
    batch_size = 1 if scope(config) == 'mmdet' else loader.get('batch_size', 1)
    classes = dataset.metainfo.get('classes') or dataset.CLASSES
    return LabelledImages(dataset, np.asarray(dataset.get_gt_labels()), tuple(classes), batch_size)


def test_pipeline(config: Config) -> list:
    """The steps by which a config prepares images for testing, without those for annotations."""
    loader = config.get('val_dataloader') or config.test_dataloader
    dataset = loader.dataset
    while 'pipeline' not in dataset and 'dataset' in dataset:
        dataset = dataset.dataset
    steps = [step for step in dataset.pipeline if 'LoadAnnotations' not in str(step.type)]
    return from_files(steps)


def read_image(config: Config, path: str) -> Tensor:
    """Prepare one image file as a config does for testing.

    Args:
        config (Config): Config of a classifier or detector.
        path (str): The image.

    Returns:
        Tensor: Of shape (3, H, W), not yet normalised.

    Raises:
        UserError: If there is no such file, or it is not an image.
    """
    if not os.path.isfile(path):
        raise UserError(f'Image {path} does not exist.')
    init_default_scope(scope(config))
    return Compose(test_pipeline(config))(dict(img_path=path, img_id=0, gt_label=0))['inputs']


def _folder(root: str, pipeline: list) -> Dataset:
    # Built here, in the config's scope: the dataset itself would look in mmpretrain's.
    steps = Compose(pipeline).transforms
    try:
        dataset = CustomDataset(data_root=root, pipeline=steps)
    except (FileNotFoundError, RuntimeError, AssertionError) as error:
        raise UserError(f'--data-root {root} has no images in folders, one for each class: '
                        f'{error}.') from error
    return dataset


def find_class(name: str, classes: tuple) -> int:
    """Find a class by its name or one of its synonyms.

    Args:
        name (str): A name; upper and lower case are the same. Names with commas, as ImageNet has
            them, are found by each of their parts too.
        classes (tuple[str, ...]): All names.

    Returns:
        int: Index of the class.

    Raises:
        UserError: If no class has this name; names the nearest one.
    """
    known: dict[str, int] = {}
    for number, entry in enumerate(classes):
        for key in (entry, *entry.split(',')):
            known.setdefault(key.strip().lower(), number)
    index = known.get(name.strip().lower())
    if index is None:
        near = difflib.get_close_matches(name.lower(), known, 1, cutoff=0)
        raise UserError(f'There is no class {name!r} among the {len(classes)} of the data; the '
                        f'nearest name is {classes[known[near[0]]]!r}.')
    return index


def chosen_classes(wanted: list[str] | None, images: LabelledImages) -> dict[int, str]:
    """Classes to draw.

    Args:
        wanted (list[str], optional): ``NAME`` or ``NAME=LABEL`` of each. Defaults to four of
            those with images, evenly spread.
        images (LabelledImages): The images.

    Returns:
        dict[int, str]: Index of every class, and the name to show for it.

    Raises:
        UserError: If a class is unknown or has no images.
    """
    seen = np.unique(images.labels)
    if wanted is None:
        spread = seen[np.linspace(0, len(seen) - 1, min(4, len(seen))).round().astype(int)]
        return {int(i): images.classes[i].partition(',')[0] for i in spread}
    chosen = {}
    for entry in wanted:
        name, _, label = entry.partition('=')
        index = find_class(name, images.classes)
        if index not in seen:
            raise UserError(f'The data have no image of class {name!r}; choose another.')
        chosen[index] = label or name
    return chosen
