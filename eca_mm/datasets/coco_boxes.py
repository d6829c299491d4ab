"""Boxes that are not x, y, width, height in pixels: corners, or fractions of the image."""
import numpy as np

from eca_mm.utils.errors import UserError

# So few boxes show nothing.
_FEWEST = 4
# Pixels by which a rounded box may leave its image.
_TOLERANCE = 2
# Boxes that must leave their images, and that must fit as corners, for a file to be taken for one
# of corners: the others are small ones near the origin, and slips.
_LEAVING, _FITTING = 0.25, 0.95


def check_box_format(images: list[dict], annotations: list[dict], path: str) -> None:
    """Recognise boxes in other formats than COCO's.

    Args:
        images (list[dict]): Checked entries of a COCO file.
        annotations (list[dict]): Checked annotations of these images.
        path (str): The file, for messages.

    Raises:
        UserError: If all boxes lie within the first pixel of larger images (they are fractions
            of the image), or if many boxes leave their images and nearly all of them would fit as
            corners x1, y1, x2, y2.
    """
    if not annotations:
        return
    sizes = {image['id']: (image['width'], image['height']) for image in images}
    boxes = np.array([ann['bbox'] for ann in annotations], dtype=float)
    width, height = np.array([sizes[ann['image_id']] for ann in annotations], dtype=float).T
    x, y, third, fourth = boxes.T
    within_a_pixel = ((boxes >= 0) & (boxes <= 1)).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1)
    if within_a_pixel.all() and min(width.min(), height.min()) > 1:
        raise UserError(
            f'Annotation file {path} has boxes from 0 to 1 only, such as {boxes[0].tolist()} of '
            f'annotation {annotations[0]["id"]}, but COCO boxes are x, y, width, height in '
            "pixels; multiply them by their image's width and height.")
    leaves = (x + third > width + _TOLERANCE) | (y + fourth > height + _TOLERANCE)
    fits_as_corners = ((third > x) & (fourth > y) & (third <= width + _TOLERANCE)
                       & (fourth <= height + _TOLERANCE))
    if len(boxes) >= _FEWEST and leaves.mean() >= _LEAVING and fits_as_corners.mean() >= _FITTING:
        first = int(np.flatnonzero(leaves)[0])
        raise UserError(
            f'Annotation file {path} has {leaves.sum()} of {len(boxes)} boxes that leave their '
            f'images, such as {boxes[first].tolist()} of annotation {annotations[first]["id"]}, '
            f'and {fits_as_corners.sum()} that would fit as corners x1, y1, x2, y2; COCO boxes are '
            'x, y, width, height: write width = x2 - x1 and height = y2 - y1.')
