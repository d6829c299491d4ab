"""Check the entries of a COCO file before mmdet and pycocotools see them.

pycocotools hands numbers to C code that trusts them: a mask of the wrong size writes behind its
memory, a polygon far outside the image fills all memory.
"""
import math
from typing import Any

import numpy as np

# No picture and no box is larger; beyond 2**53 pycocotools mixes ids up.
_LONGEST, _LARGEST, _LAST_ID = 10**6, 10**9, 2**53
_LONGEST_NAME = 1000
# Pixels along a polygon's edges, for which pycocotools allocates 40 bytes each.
_LONGEST_OUTLINE = 2 * 10**7


class BadRecord(ValueError):
    """An entry cannot be used; the message says what is wrong with it."""


def check_image(image: dict) -> None:
    """Check one entry of ``images``.

    Args:
        image (dict): Has ``id``, ``file_name``, ``height`` and ``width``.

    Raises:
        BadRecord: If one of them cannot be used.
    """
    _check_id(image, 'id', texts=True)
    name = image['file_name']
    if not (isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME) or '\0' in name:
        raise BadRecord(f'the file_name {_short(name)}, which does not name a file')
    if not _is_text(name):
        raise BadRecord(f'the file_name {_short(name)}, which is not a text')
    for side in ('height', 'width'):
        value = image[side]
        if not _is_number(value) or value != int(value) or not 1 <= value <= _LONGEST:
            raise BadRecord(f'the {side} {_short(value)}, which is not a number of pixels')
    if image['height'] * image['width'] > _LARGEST:
        raise BadRecord(f'{image["width"]} x {image["height"]} pixels, which is too large')


def check_category(category: dict) -> None:
    """Check one entry of ``categories``.

    Args:
        category (dict): Has ``id`` and ``name``.

    Raises:
        BadRecord: If one of them cannot be used.
    """
    _check_id(category, 'id')
    name = category['name']
    if not isinstance(name, str) or len(name) > _LONGEST_NAME or not _is_text(name):
        raise BadRecord(f'the name {_short(name)}, which is not a text of a class')


def check_annotation(annotation: dict, image: dict | None) -> None:
    """Check one entry of ``annotations``.

    Args:
        annotation (dict): Has ``id``, ``image_id``, ``category_id``, ``bbox`` and ``area``.
        image (dict, optional): Its image's entry; masks are not checked when None.

    Raises:
        BadRecord: If it cannot be used. Boxes without area and masks that
            :func:`usable_mask` leaves out do not count.
    """
    for key in ('id', 'image_id'):
        _check_id(annotation, key, texts=True)
    _check_id(annotation, 'category_id')
    box = annotation['bbox']
    if not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))
            and min(box) >= -_LONGEST and max(box) <= _LONGEST):
        raise BadRecord(f'the box {_short(box)}; four numbers x, y, width, height are expected')
    if not _is_number(annotation['area']):
        raise BadRecord(f'the area {_short(annotation["area"])}, which is not a number')
    if annotation.get('iscrowd') not in (0, 1, None):
        raise BadRecord(f'iscrowd {_short(annotation["iscrowd"])}; 0 or 1 is expected')
    mask = annotation.get('segmentation')
    if image is None or not mask:
        return
    height, width = int(image['height']), int(image['width'])
    if isinstance(mask, dict):
        _check_rle(mask, height, width)
    elif isinstance(mask, list):
        for polygon in mask if isinstance(mask[0], list) else [mask]:
            _check_polygon(polygon, max(height, width))
    else:
        raise BadRecord(f'the segmentation {_short(mask)}; polygons or an RLE are expected')


def usable_mask(mask: object) -> tuple[list | dict | None, str]:
    """Reduce a mask to what pycocotools can rasterise.

    Args:
        mask (object): ``segmentation`` of an annotation that :func:`check_annotation` accepts.

    Returns:
        tuple[list | dict | None, str]: The mask, None where nothing of it is left; and what was
        taken out of it or fixed, an empty string for nothing.
    """
    if not mask:
        return None, ''
    if isinstance(mask, dict):
        return mask, ''
    parts: list = list(mask)  # type: ignore[call-overload]
    flat = not isinstance(parts[0], list)
    polygons = [parts] if flat else parts
    kept = [polygon for polygon in polygons if len(polygon) >= 6 and len(polygon) % 2 == 0]
    if len(kept) == len(polygons):
        return kept, 'a polygon that is not in a list of polygons (put into one)' if flat else ''
    if any(len(polygon) % 2 for polygon in polygons):
        return kept or None, 'polygons with an odd number of coordinates'
    return kept or None, 'polygons of less than three points'


def _check_id(record: dict, key: str, texts: bool = False) -> None:
    """Check an id; whole floats, as spreadsheets write them, become integers."""
    value = record[key]
    if type(value) is float and value.is_integer():
        record[key] = value = int(value)
    if texts and isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME and _is_text(value):
        return
    if type(value) is not int or abs(value) > _LAST_ID:
        raise BadRecord(f'the {key} {_short(value)}; a whole number below 2**53 '
                        + ('or a text ' if texts else '') + 'is expected')


def _check_polygon(polygon: Any, side: int) -> None:
    if not isinstance(polygon, list) or not set(map(type, polygon)) <= {int, float}:
        raise BadRecord(f'the polygon {_short(polygon)}; numbers x, y, x, y ... are expected')
    if len(polygon) < 6 or len(polygon) % 2:
        # Left out, see usable_mask.
        return
    if not _are_finite(polygon) or min(polygon) < -side or max(polygon) > 2 * side:
        raise BadRecord(f'the polygon {_short(polygon)}, which lies far outside its image')
    if 3 * side * len(polygon) > _LONGEST_OUTLINE:
        points = np.array(polygon).reshape(-1, 2)
        steps = np.abs(points - np.roll(points, 1, axis=0)).max(axis=1)
        if steps.sum() > _LONGEST_OUTLINE:
            raise BadRecord(f'a polygon that is {steps.sum():.3g} pixels long')


def _check_rle(mask: dict, height: int, width: int) -> None:
    if mask.get('size') != [height, width]:
        raise BadRecord(f'an RLE of size {_short(mask.get("size"))}, but its image has '
                        f'[{height}, {width}]')
    counts = mask.get('counts')
    if isinstance(counts, str):
        counts = _decode_counts(counts)
    if not isinstance(counts, list) or not set(map(type, counts)) <= {int} or (
            counts and min(counts) < 0):
        raise BadRecord(f'an RLE with counts {_short(mask.get("counts"))}, which cannot be decoded')
    if sum(counts) != height * width:
        raise BadRecord(f'an RLE of {sum(counts)} pixels, but its image has {height * width}')


def _decode_counts(text: str) -> list | None:
    """Decode COCO's compressed RLE: five bits a character, differences from the third run on."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    return None if shift else counts


def _is_text(value: str) -> bool:
    """Whether a string can be written to a file: JSON may hold halves of surrogate pairs."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_number(value: Any) -> bool:
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:
        return False


def _are_finite(values: list) -> bool:
    try:
        # A sum is finite only if all of its terms are.
        return math.isfinite(sum(values))
    except OverflowError:
        return False


def _short(value: Any) -> str:
    try:
        text = ascii(value)
    except (ValueError, RecursionError):
        # Python refuses to print integers of more than 4300 digits.
        return f'of type {type(value).__name__}'
    return text if len(text) <= 60 else f'{text[:57]}...'
