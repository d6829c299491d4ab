"""A small COCO-format data set of drawn shapes, for trying a detector without any download."""
import json
import math
import os
import random
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as mask_utils

from eca_mm.utils.errors import UserError
from eca_mm.utils.terminal import progress

CLASSES = ('circle', 'square', 'triangle')
_CORNERS = (40, 4, 3)
_OURS = re.compile(r'annotations/instances_(train|val)\.json|(train|val)/\d{6}\.jpg')


def make_shapes(out: str | Path,
                num_train: int = 400,
                num_val: int = 50,
                size: int = 256,
                seed: int = 0,
                overwrite: bool = False) -> Path:
    """Write ``annotations/instances_{train,val}.json``, ``train/`` and ``val/`` in COCO's format.

    Every image shows one to four circles, squares and triangles of any colour, a little tilted, on
    a soft background; no two of them overlap. Images are painted through the masks that pycocotools
    makes of the annotated polygons, so polygons, boxes and areas are exact to the pixel. The same
    arguments give the same annotation files, byte for byte.

    Args:
        out (str | Path): Folder to make. It appears when it is complete, not before.
        num_train (int): Number of training images. Defaults to 400.
        num_val (int): Number of validation images. Defaults to 50.
        size (int): Height and width of the images in pixels, at least 64. Defaults to 256.
        seed (int): Seed of everything that is random. Defaults to 0.
        overwrite (bool): Replace an earlier data set of shapes in ``out``. Defaults to False.

    Returns:
        Path: ``out``.

    Raises:
        UserError: If ``out`` is not empty and ``overwrite`` is not set, if it holds anything but a
            data set of shapes, or if a number is too small.
    """
    out = Path(out)
    for name, value, least in (('num_train', num_train, 1), ('num_val', num_val, 1),
                               ('size', size, 64)):
        if value < least:
            raise UserError(f'{name} is {value}, but must be at least {least}.')
    _check_target(out, overwrite)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f'.{out.name}.', dir=out.parent) as scratch:
        new = Path(scratch, 'new')
        for split, count in (('train', num_train), ('val', num_val)):
            _write_split(new, split, count, size, seed)
        if out.exists():
            os.rename(out, Path(scratch, 'old'))
        os.rename(new, out)
    return out


def _check_target(out: Path, overwrite: bool) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f'{out} is a file; name a folder for the data set.')
    files = [path.relative_to(out).as_posix() for path in out.rglob('*') if not path.is_dir()]
    foreign = [name for name in files if not _OURS.fullmatch(name)]
    if foreign:
        raise UserError(f'{out} holds other files, such as {min(foreign)}; name another folder.')
    if files and not overwrite:
        raise UserError(f'{out} holds a data set of shapes already; give --overwrite to replace '
                        'it, or name another folder.')


def _write_split(root: Path, split: str, count: int, size: int, seed: int) -> None:
    (root / split).mkdir(parents=True)
    (root / 'annotations').mkdir(exist_ok=True)
    images: list[dict] = []
    annotations: list[dict] = []
    for image_id in progress(range(1, count + 1), f'Drawing {count} {split} images'):
        name = f'{image_id:06d}.jpg'
        # A generator per image: how many images there are does not change any of them.
        picture, shapes = draw_image(size, random.Random(f'{seed} {split} {image_id}'))
        if not cv2.imwrite(str(root / split / name), picture, [cv2.IMWRITE_JPEG_QUALITY, 95]):
            raise UserError(f'Cannot write {root / split / name}; is the disk full?')
        images.append(dict(id=image_id, file_name=name, height=size, width=size))
        for shape in shapes:
            annotations.append(dict(id=len(annotations) + 1, image_id=image_id, iscrowd=0, **shape))
    content = dict(
        info=dict(description=f'Drawn shapes, {split} images, seed {seed}'),
        licenses=[],
        categories=[dict(id=i, name=name) for i, name in enumerate(CLASSES, 1)],
        images=images,
        annotations=annotations)
    (root / 'annotations' / f'instances_{split}.json').write_text(json.dumps(content))


def draw_image(size: int, rng: random.Random) -> tuple[np.ndarray, list[dict]]:
    """Draw one image.

    Args:
        size (int): Height and width in pixels.
        rng (random.Random): Source of all that is random.

    Returns:
        tuple[np.ndarray, list[dict]]: The image, uint8 of shape (size, size, 3) in BGR, and for
        each shape ``category_id``, ``segmentation`` (one polygon), ``bbox`` (x, y, w, h) and
        ``area``, both of the polygon's pixels.
    """
    base = [rng.uniform(60, 195) for _ in range(3)]
    coarse = [[[c + rng.uniform(-35, 35) for c in base] for _ in range(6)] for _ in range(6)]
    image = cv2.resize(np.array(coarse, np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    taken = np.zeros((size, size), bool)
    shapes = []
    for label, polygon in _candidates(size, rng):
        rle = mask_utils.frPyObjects([polygon], size, size)[0]
        mask = mask_utils.decode(rle).astype(bool)
        if (mask & taken).any():
            continue
        taken |= mask
        image[mask] = _contrasting(base, rng)
        shapes.append(dict(category_id=label + 1, segmentation=[polygon],
                           bbox=mask_utils.toBbox(rle).tolist(), area=int(mask_utils.area(rle))))
    return image.clip(0, 255).astype(np.uint8), shapes


def _candidates(size: int, rng: random.Random) -> Iterator[tuple[int, list[float]]]:
    """Labels and polygons (x, y, x, y ...) inside the image; the first always fits."""
    for _ in range(rng.randint(1, 4)):
        label = rng.randrange(len(CLASSES))
        radius = size * rng.uniform(0.1, 0.24)
        x, y = (rng.uniform(radius + 1, size - radius - 1) for _ in range(2))
        corners = _CORNERS[label]
        # Standing on a side, give or take a tilt.
        turn = math.pi / 2 - math.pi / corners + rng.uniform(-0.35, 0.35)
        angles = [turn + 2 * math.pi * i / corners for i in range(corners)]
        # Rounding makes the numbers the same on every machine.
        yield label, [round(v, 2) for a in angles
                      for v in (x + radius * math.cos(a), y + radius * math.sin(a))]


def _contrasting(base: list[float], rng: random.Random) -> list[float]:
    """A colour at a distance from the background's."""
    while True:
        colour = [float(rng.randrange(256)) for _ in range(3)]
        if math.dist(colour, base) > 110:
            return colour
