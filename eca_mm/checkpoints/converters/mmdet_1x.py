"""Detectors of mmdetection 1.x: what their weights are called and mean in MMDetection 3.

What MMDetection 2.0 changed, and what is done about it here:

- The heads of the second stage moved below ``roi_head``: renamed.
- Background was class 0 and is the last one now: the classifier's rows are moved.
- Boxes and masks of the background were predicted too: these rows are dropped.
- A box from x1 to x2 was x2 - x1 + 1 wide, anchors had round corners around other centres, and
  RoIAlign was not aligned to pixel centres: MMDetection's own legacy parts are set in the config
  that is written. Their boxes are half a pixel larger on every side, so that today's x2 - x1, by
  which NMS and COCO measure them, is 1.x's width.
"""
import re
from collections.abc import Mapping

import torch
from torch import Tensor

from eca_mm.utils.errors import UserError

from .architecture import ResNetArchitecture
from .conversion import Conversion, fit, rename

_HEADS = ('rpn_head.', 'bbox_head.', 'mask_head.', 'roi_head.')
_KINDS = dict(faster_rcnn='faster-rcnn', mask_rcnn='mask-rcnn', retinanet='retinanet')
_NOTES = (
    'A detector of mmdetection 1.x: its box, anchor and RoIAlign conventions are set in the config '
    'beside the weights; with another config it detects worse.',
    'Not exactly those of 1.x are RoIAlign at the half pixel by which boxes are larger now, the '
    'losses, and how masks are pasted: AP and fine-tuning differ a little.')
_CODER = dict(type='LegacyDeltaXYWHBBoxCoder')
_ANCHORS = dict(type='LegacyAnchorGenerator', center_offset=0.5)
_ROI_EXTRACTOR = dict(roi_layer=dict(sampling_ratio=2, aligned=False))


def is_detector(weights: Mapping[str, Tensor]) -> bool:
    """Whether weights are a detector's: they have a detection head."""
    return any(name.startswith(_HEADS) for name in weights)


def convert_detector(weights: Mapping[str, Tensor]) -> Conversion:
    """Convert a Faster R-CNN, Mask R-CNN or RetinaNet with ECA of mmdetection 1.x.

    Args:
        weights (Mapping[str, Tensor]): Its state dict.

    Returns:
        Conversion: The weights as MMDetection 3 has them, and a config with 1.x's conventions.

    Raises:
        UserError: If it is not such a detector, or not complete
            (:class:`~eca_mm.checkpoints.keys.MisfitError`, with a report).
    """
    if any(name.startswith('roi_head.') for name in weights):
        raise UserError('The checkpoint names its heads as MMDetection 2 and 3 do (roi_head.*), so '
                        'there is nothing to convert: give it to tools/test.py as it is.')
    two_stage = any(name.startswith('rpn_head.') for name in weights)
    kind = ('retinanet' if not two_stage else
            'mask_rcnn' if any(name.startswith('mask_head.') for name in weights)
            else 'faster_rcnn')
    names = {name: _name(name, two_stage) for name in weights}
    renamed = rename(weights, names)
    classes = _classes(renamed, two_stage)
    for name, value in renamed.items():
        renamed[name] = _reordered(name, value, classes)

    architecture = ResNetArchitecture.read(
        {name.removeprefix('backbone.'): value for name, value in renamed.items()
         if name.startswith('backbone.')})
    backbone = architecture.backbone()
    if backbone['type'] != 'ECAResNet':
        raise UserError('The backbone of the detector is not a plain ResNet with ECA layers, '
                        'the only kind that is converted.')
    depth = 101 if architecture.depth == 101 else 50
    base = f'{kind}/{_KINDS[kind]}_eca-r{depth}_fpn_4xb2-1x_coco.py'
    # All weights are there: no others need to be loaded before.
    model = dict(backbone=dict(depth=architecture.depth, init_cfg=None,
                               kernel_size=backbone['kernel_size']))
    if two_stage:
        head = dict(num_classes=classes, bbox_coder=_CODER)
        if _rows(renamed, 'roi_head.bbox_head.fc_reg.weight') == 4:
            head['reg_class_agnostic'] = True
        model.update(
            rpn_head=dict(anchor_generator=_ANCHORS, bbox_coder=_CODER),
            roi_head=dict(bbox_roi_extractor=_ROI_EXTRACTOR, bbox_head=head))
        if kind == 'mask_rcnn':
            model['roi_head'].update(mask_roi_extractor=_ROI_EXTRACTOR,
                                     mask_head=dict(num_classes=classes))
    else:
        model.update(bbox_head=dict(num_classes=classes, anchor_generator=_ANCHORS,
                                    bbox_coder=_CODER))
    return fit(renamed, names, base, dict(model=model), _NOTES)


def _name(name: str, two_stage: bool) -> str:
    if two_stage and name.startswith(('bbox_head.', 'mask_head.')):
        return f'roi_head.{name}'
    # Before 0.6 RetinaNet's towers were bare convolutions.
    return re.sub(r'^(bbox_head\.(?:cls|reg)_convs\.\d+)\.(weight|bias)$', r'\1.conv.\2', name)


def _classes(weights: Mapping[str, Tensor], two_stage: bool) -> int:
    """Number of classes without background."""
    if two_stage:
        return max(1, _rows(weights, 'roi_head.bbox_head.fc_cls.weight') - 1)
    # Of each location's nine anchors; sigmoids have no background.
    return max(1, _rows(weights, 'bbox_head.retina_cls.weight') // 9)


def _rows(weights: Mapping[str, Tensor], name: str) -> int:
    return weights[name].shape[0] if name in weights and weights[name].dim() else 0


def _reordered(name: str, value: Tensor, classes: int) -> Tensor:
    """Put the background last where it is a class, and nowhere else."""
    layer = name.split('.')[-2]
    rows = value.shape[0] if value.dim() else 0
    if layer == 'fc_cls' and rows == classes + 1:
        return torch.cat([value[1:], value[:1]])
    if layer == 'fc_reg' and rows == 4 * (classes + 1):
        return value[4:].clone()
    if layer == 'conv_logits' and rows == classes + 1:
        return value[1:].clone()
    return value
