"""Annotations and images that are missing from where the config expects them."""
import os
from collections.abc import Iterator

from mmpretrain.datasets import CustomDataset

from eca_mm.compat.data_sets import is_hidden
from eca_mm.datasets.image_files import separator_hint
from eca_mm.utils.errors import UserError

from .context import ConfigContext, DataSet, Finding

# All of COCO's 118k would take minutes on a network disk.
PROBED_IMAGES = 16


def check(context: ConfigContext) -> Iterator[Finding]:
    """Look for the files and folders of every data set, and into the annotations of COCO's kind.

    Args:
        context (ConfigContext): The config.

    Yields:
        Finding: What is missing or unusable.
    """
    for data in context.datasets:
        if data.error:
            yield _finding(data.where, f'the data set cannot be built: {data.error}',
                           'settings that it accepts')
        if data.built is None:
            continue
        absent = list(_absent(data))
        yield from absent
        if data.has_instances and is_local_file(data.built.ann_file):
            yield from _check_coco(data, context, bool(absent))
        elif not absent and isinstance(data.built, CustomDataset):
            yield from _check_labels(data)


def is_local_file(path: str) -> bool:
    """Whether a path is an existing file of this machine."""
    return bool(path) and '://' not in path and os.path.isfile(path)


def folder_classes(data: DataSet) -> list[str] | None:
    """Names of the folders that mmpretrain takes for classes.

    Args:
        data (DataSet): A data set of the config.

    Returns:
        list[str] | None: Sorted; None if the data set takes its classes from elsewhere.
    """
    built = data.built
    if not isinstance(built, CustomDataset) or built.ann_file or not built.with_label:
        return None
    root = built.data_prefix.get('img_path', '')
    if not os.path.isdir(root):
        return None
    return sorted(entry.name for entry in os.scandir(root)
                  if entry.is_dir() and not is_hidden(entry.name))


def _absent(data: DataSet) -> Iterator[Finding]:
    built = data.built
    root = built.data_root or ''
    if '://' in root:
        return
    if root and not os.path.isdir(root):
        # Nothing below it exists either.
        yield _finding(f'{data.where}.data_root', f'the folder {root} does not exist',
                       'the folder of the data')
        return
    if built.ann_file and '://' not in built.ann_file and not os.path.isfile(built.ann_file):
        yield _finding(f'{data.where}.ann_file', f'the annotation file {built.ann_file} does not '
                       'exist', 'an annotation file')
    prefixes = built.data_prefix if isinstance(built.data_prefix, dict) else {}
    for key, folder in prefixes.items():
        if isinstance(folder, str) and folder and '://' not in folder and not os.path.isdir(folder):
            yield _finding(f'{data.where}.data_prefix.{key}', f'the folder {folder} does not exist',
                           'the folder of the images')


def _check_coco(data: DataSet, context: ConfigContext, no_images: bool) -> Iterator[Finding]:
    path = data.built.ann_file
    try:
        coco = context.coco(path)
    except UserError as error:
        yield _finding(f'{data.where}.ann_file', str(error), 'a file in COCO format')
        return
    images = list(coco.imgs.values())
    if not images:
        yield _finding(f'{data.where}.ann_file', f'{path} lists no image', 'at least one image')
    folder = data.built.data_prefix.get('img', '')
    if no_images or '://' in folder or not images:
        return
    probed = images[::max(1, len(images) // PROBED_IMAGES)]
    paths = [os.path.join(folder, str(image['file_name'])) for image in probed]
    absent = [path for path in paths if not os.path.isfile(path)]
    if absent:
        yield _finding(f'{data.where}.data_prefix.img', f'{len(absent)} of {len(paths)} probed '
                       f'images of {path} do not exist, the first being {absent[0]}',
                       separator_hint(absent[0]) + 'the folder of the images')


def _check_labels(data: DataSet) -> Iterator[Finding]:
    """Lines ``path label`` of an annotation file of mmpretrain."""
    if not (data.built.ann_file and data.built.with_label and data.classes):
        return
    with open(data.built.ann_file, encoding='utf-8', errors='replace') as lines:
        for number, line in enumerate(lines, 1):
            label = line.strip().rpartition(' ')[2]
            if line.strip() and not (label.isdigit() and int(label) < len(data.classes)):
                yield _finding(
                    f'{data.where}.ann_file', f'line {number} of {data.built.ann_file} has no '
                    f'label below {len(data.classes)}, the number of classes: {line.strip()!r}',
                    f'lines PATH LABEL with labels from 0 to {len(data.classes) - 1}')
                return


def _finding(where: str, message: str, expected: str) -> Finding:
    return Finding('error', 'data', where, message, expected)
