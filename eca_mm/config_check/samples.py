"""What a pipeline must put into a sample for the model to learn or predict from it."""
from typing import Any

from mmdet.models.detectors import BaseDetector
from torch import Tensor, nn

from eca_mm.utils.errors import UserError

# What mmdet's heads read to give boxes in the size of the original image.
_SIZES = ('ori_shape', 'img_shape')


def check_sample(sample: Any, split: str, model: nn.Module) -> None:
    """Check what a data set returns.

    Args:
        sample (Any): Its first sample.
        split (str): ``'train'``, ``'val'`` or ``'test'``.
        model (nn.Module): A detector or classifier of mmdet's or mmpretrain's kind.

    Raises:
        UserError: If the sample is not packed, a training sample has no boxes, masks or label
            that the model learns, or one of an evaluation lacks the sizes that predictions need.
    """
    detects = isinstance(model, BaseDetector)
    packing = 'PackDetInputs' if detects else 'PackInputs'
    if not (isinstance(sample, dict) and {'inputs', 'data_samples'} <= set(sample)):
        raise UserError(f'The pipeline does not end in {packing}, which gives the model its image '
                        'and annotations; add it.')
    packed = sample['data_samples']
    if not isinstance(sample['inputs'], Tensor) or isinstance(packed, dict):
        # Several branches, as semi-supervised training has.
        return
    if not detects:
        if split == 'train' and getattr(model, 'with_head', False) and 'gt_label' not in packed:
            raise UserError('The samples have no label (gt_label) to learn: the data set has none '
                            '(with_label=False?), or the pipeline drops it.')
        return
    if split != 'train':
        # CenterNet's kind pads to a border instead of resizing.
        resizes = getattr(model, 'with_bbox', False) and 'border' not in packed.metainfo
        absent = [key for key in (*_SIZES, *['scale_factor'] * resizes)
                  if key not in packed.metainfo]
        if absent:
            raise UserError(f'The samples lack {" and ".join(absent)}, without which predictions '
                            'cannot be given in the size of the image: name it in meta_keys of '
                            'PackDetInputs'
                            + (', and keep Resize.' if 'scale_factor' in absent else '.'))
        return
    if 'bboxes' not in packed.get('gt_instances', ()):
        raise UserError('The training samples have no boxes: put LoadAnnotations(with_bbox=True) '
                        'into the pipeline, after the image is loaded.')
    if getattr(getattr(model, 'roi_head', None), 'with_mask', False) and (
            'masks' not in packed.gt_instances):
        raise UserError('The training samples have no masks, which the mask_head learns: set '
                        'with_mask=True of LoadAnnotations.')
