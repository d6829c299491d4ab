"""VOC's annotation files: what is wrong with one, and boxes that are in another format."""
import functools
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from typing import Any

from mmengine.fileio import get_local_path

from eca_mm.utils.errors import UserError
from eca_mm.utils.listing import some

_SIDES = ('xmin', 'ymin', 'xmax', 'ymax')
# A pixel of rounding, and one that VOC counts from 1.
_SLACK = 2


def name_broken_voc_files() -> None:
    """Let mmdet's ``XMLDataset`` name the file and the entry that it cannot read."""
    from mmdet.datasets import XMLDataset

    parse = XMLDataset.parse_data_info
    if hasattr(parse, '__wrapped__'):
        return

    @functools.wraps(parse)
    def parse_named(self: Any, img_info: dict) -> dict | list[dict]:
        try:
            return parse(self, img_info)
        except (SyntaxError, AttributeError, TypeError, ValueError, OverflowError) as error:
            reason = _reason(img_info['xml_path'], self.backend_args)
            if reason is None:
                raise
            raise UserError(f'{img_info["xml_path"]} cannot be used as an annotation of VOC: '
                            f'{reason}; correct it, or take {img_info["img_id"]} out of '
                            f'{self.ann_file}.') from error

    XMLDataset.parse_data_info = parse_named


def _reason(path: str, backend_args: dict | None) -> str | None:
    """What mmdet cannot read in a file; None if that is all right."""
    try:
        with get_local_path(path, backend_args=backend_args) as local:
            root = ElementTree.parse(local).getroot()
    except SyntaxError as error:
        return f'it is not XML ({error})'
    entries: list[tuple[Any, str, tuple[str, ...], Callable[[str], int]]] = []
    if root.find('size') is not None:
        entries.append((root.find('size'), 'size', ('width', 'height'), int))
    for number, entry in enumerate(root.findall('object'), 1):
        name = entry.findtext('name')
        if name is None:
            return f'object {number} has no name'
        difficult = entry.find('difficult')
        if difficult is not None:
            entries.append((entry, f'object {number} ({name})', ('difficult', ), int))
        entries.append((entry.find('bndbox'), f'bndbox of object {number} ({name})', _SIDES,
                        _whole))
    for node, where, keys, kind in entries:
        for key in keys:
            text = None if node is None else node.findtext(key)
            if not _is_number(text, kind):
                return f'{where} has {"no" if text is None else repr(text) + " as"} {key}'
    return None


def _whole(text: str) -> int:
    return int(float(text))


def _is_number(text: str | None, kind: Callable[[str], int]) -> bool:
    try:
        kind(text or '')
    except (ValueError, OverflowError):
        return False
    return True


def take_out_bad_boxes(dataset: Any) -> dict[str, list]:
    """Refuse boxes in another format than VOC's, and leave single unusable ones out of training.

    Args:
        dataset (XMLDataset): A data set whose annotations have been read. The samples of its
            ``data_list`` lose such boxes, unless it is for testing.

    Returns:
        dict[str, list]: Images by the reason why a box of theirs is left out.

    Raises:
        UserError: If all boxes go from 0 to 1, or most have no area or leave their images.
    """
    boxes = [(sample, box) for sample in dataset.data_list for box in sample['instances']]
    if boxes and all(max(box['bbox']) <= 0 for _, box in boxes):
        raise UserError(f'{dataset.ann_file} has boxes from 0 to 1 only; those of VOC are xmin, '
                        "ymin, xmax, ymax in pixels: multiply them by their image's width and "
                        'height.')
    left_out: dict[str, list] = {}
    for find, problem, remedy in (
            (_is_degenerate, 'without width or height', 'write xmax = xmin + width and '
             'ymax = ymin + height if they are x, y, width, height'),
            (_leaves, 'that leave their images', 'correct them, or the size there')):
        found = [(sample, box) for sample, box in boxes if find(sample, box['bbox'])]
        if len(found) * 2 > len(boxes):
            sample, box = found[0]
            raise UserError(f'{dataset.ann_file} has {len(found)} of {len(boxes)} boxes {problem}, '
                            f'such as {box["bbox"]} (from pixel 0) of '
                            f'{sample.get("xml_path", sample["img_path"])}, whose size is'
                            f' {sample["width"]} x {sample["height"]}; those of VOC are '
                            f'xmin, ymin, xmax, ymax: {remedy}.')
    for sample in () if dataset.test_mode else dataset.data_list:
        kept = list(_usable(sample, left_out))
        if len(kept) < len(sample['instances']):
            sample['instances'] = kept
    return left_out


def _usable(sample: dict, left_out: dict[str, list]) -> Iterator[dict]:
    for box in sample['instances']:
        if _is_degenerate(sample, box['bbox']):
            left_out.setdefault('boxes without width or height', []).append(sample['img_id'])
        elif _is_outside(sample, box['bbox']):
            left_out.setdefault('boxes outside their image', []).append(sample['img_id'])
        else:
            yield box


def _is_degenerate(sample: dict, box: list) -> bool:
    return box[2] <= box[0] or box[3] <= box[1]


def _leaves(sample: dict, box: list) -> bool:
    return (min(box) < -_SLACK or box[2] > sample['width'] + _SLACK
            or box[3] > sample['height'] + _SLACK)


def _is_outside(sample: dict, box: list) -> bool:
    return (box[0] >= sample['width'] or box[1] >= sample['height'] or box[2] <= 0 or box[3] <= 0)


def describe(left_out: dict[str, list]) -> list[str]:
    """One clause for each reason why boxes are left out, with images.

    Args:
        left_out (dict[str, list]): As :func:`take_out_bad_boxes` returns it.

    Returns:
        list[str]: The clauses.
    """
    return [f'{len(images)} {reason} ({some(list(dict.fromkeys(images)))})'
            for reason, images in left_out.items()]
