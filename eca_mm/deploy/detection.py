"""Whole detectors as ONNX files: images to boxes, non-maximum suppression included."""
import math
from typing import Any

import torch
from mmcv.ops import RoIAlign
from mmdet.models.dense_heads import RPNHead
from mmdet.models.dense_heads.anchor_head import AnchorHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.models.task_modules import AnchorGenerator, DeltaXYWHBBoxCoder
from torch import Tensor, nn
from torch.nn import functional as F
from torch.onnx.operators import shape_as_tensor
from torchvision.ops import nms, roi_align

from eca_mm.utils.errors import UserError


class DetectorModel(nn.Module):
    """A detector from one normalised image to its detections, in operators that ONNX has.

    It computes what the detector's ``predict`` does, for detectors made of MMDetection's own RPN,
    RoI heads and anchor-based dense heads: Faster R-CNN, Mask R-CNN, RetinaNet.

    Args:
        detector (nn.Module): The detector in evaluation mode; it is shared, not copied.

    Raises:
        UserError: If a part of the detector is another one than these, naming the part.
    """

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        _check_supported(detector)
        self.detector = detector
        # Not by eval(), which would also reach the detector that the caller shares with us.
        self.training = False

    @property
    def output_names(self) -> list[str]:
        """``boxes``, ``scores``, ``labels``, and ``masks`` where the detector has a mask head."""
        masks = getattr(self.detector, 'with_mask', False)
        return ['boxes', 'scores', 'labels', *['masks'][:masks]]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Detect the objects of one image.

        Args:
            images (Tensor): One normalised image of shape (1, C, H, W), not padded.

        Returns:
            tuple[Tensor, ...]: K boxes of shape (K, 4) as x1, y1, x2, y2 in pixels of that image,
            the best first; their scores (K,) and labels (K,); of a detector with a mask head, the
            probabilities (K, 28, 28) that positions within a box belong to the object.
        """
        limits = shape_as_tensor(images)[torch.tensor([3, 2, 3, 2])].to(images)
        maps = self.detector.extract_feat(self._pad(images))
        if isinstance(self.detector, TwoStageDetector):
            proposals = _proposals(self.detector.rpn_head, maps, limits)
            return _detections_of_proposals(self.detector.roi_head, maps, proposals, limits)
        return _detections_of_anchors(self.detector.bbox_head, maps, limits)

    def _pad(self, images: Tensor) -> Tensor:
        """Pad as MMDetection's preprocessor does."""
        preprocessor = self.detector.data_preprocessor
        divisor = getattr(preprocessor, 'pad_size_divisor', 1)
        if divisor == 1:
            return images
        height, width = images.shape[2:]
        # No negative dividend, whose remainder has another sign in ONNX.
        down, right = ((divisor - size % divisor) % divisor for size in (height, width))
        return F.pad(images, (0, right, 0, down), value=float(preprocessor.pad_value))


def _check_supported(detector: nn.Module) -> None:
    """Raise a UserError for parts whose post-processing is not the one written out here."""
    if isinstance(detector, TwoStageDetector):
        rpn, roi = detector.rpn_head, detector.roi_head
        _check_methods(detector, TwoStageDetector, 'predict')
        _check_methods(rpn, RPNHead, 'forward', 'predict', '_predict_by_feat_single',
                       '_bbox_post_process')
        _check_methods(roi, StandardRoIHead, 'predict', 'predict_bbox', '_bbox_forward',
                       'predict_mask', '_mask_forward')
        _check_methods(roi.bbox_head, BBoxHead, 'predict_by_feat', '_predict_by_feat_single')
        _check_coder(roi.bbox_head)
        if roi.bbox_head.custom_cls_channels:
            raise UserError(f'{type(roi.bbox_head.loss_cls).__name__} computes scores in its own '
                            'way, which cannot be exported; leave out --detector.')
        extractors = [roi.bbox_roi_extractor]
        if roi.with_mask:
            extractors.append(roi.mask_roi_extractor)
        for extractor in extractors:
            _check_methods(extractor, SingleRoIExtractor, 'forward', 'map_roi_levels')
            for layer in extractor.roi_layers:
                if type(layer) is not RoIAlign or layer.pool_mode != 'avg':
                    _refuse(layer)
        _check_nms(roi.test_cfg.get('nms'))
        head = rpn
    elif isinstance(detector, SingleStageDetector):
        _check_methods(detector, SingleStageDetector, 'predict')
        head = detector.bbox_head
        _check_methods(head, BaseDenseHead, 'predict', 'predict_by_feat',
                       '_predict_by_feat_single', '_bbox_post_process')
        _check_methods(head, AnchorHead, 'forward')
    else:
        _refuse(detector)
    _check_coder(head)
    if type(head.prior_generator) is not AnchorGenerator or head.prior_generator.use_box_type:
        _refuse(head.prior_generator)
    if getattr(head.loss_cls, 'custom_cls_channels', False):
        _refuse(head.loss_cls)
    _check_nms(head.test_cfg.get('nms'))


def _check_methods(part: nn.Module, expected: type, *names: str) -> None:
    for name in names:
        if getattr(type(part), name, None) is not getattr(expected, name):
            _refuse(part)


def _check_coder(head: nn.Module) -> None:
    if type(head.bbox_coder) is not DeltaXYWHBBoxCoder:
        _refuse(head.bbox_coder)


def _check_nms(cfg: dict | None) -> None:
    known = {'type', 'iou_threshold', 'class_agnostic', 'split_thr'}
    if cfg is None or cfg.get('type', 'nms') != 'nms' or {*cfg} - known:
        raise UserError(f'The detector suppresses boxes by {cfg and dict(cfg)}, but only '
                        'type="nms" with an iou_threshold can be exported; change it or leave out '
                        '--detector.')


def _refuse(part: Any) -> None:
    raise UserError(f'{type(part).__name__} has no form in ONNX here, as only the RPN, RoI and '
                    'anchor-based heads of Faster R-CNN, Mask R-CNN and RetinaNet have; leave out '
                    '--detector to export the feature maps.')


def _proposals(head: RPNHead, maps: tuple[Tensor, ...], limits: Tensor) -> Tensor:
    """The RPN's boxes, of shape (K, 4), the best first."""
    cfg, (all_logits, all_deltas) = head.test_cfg, head(maps)
    priors = _priors(head, all_logits)
    found, levels = [], []
    for level, (logits, deltas) in enumerate(zip(all_logits, all_deltas, strict=True)):
        logits = _rows(logits, head.cls_out_channels)
        scores = logits.sigmoid() if head.use_sigmoid_cls else logits.softmax(-1)[:, :-1]
        scores, order = scores.flatten().sort(descending=True)
        if cfg.get('nms_pre', -1) > 0:
            scores, order = scores[:cfg.nms_pre], order[:cfg.nms_pre]
        found.append((scores, _rows(deltas, 4)[order], priors[level][order]))
        levels.append(torch.full_like(order, level))
    scores, deltas, anchors = map(torch.cat, zip(*found, strict=True))
    boxes, level = _decode(head.bbox_coder, anchors, deltas, limits), torch.cat(levels)
    boxes, scores, level = _large_enough(cfg, boxes, scores, level)
    keep = _suppress(cfg.nms, boxes, scores, level)[:cfg.max_per_img]
    return boxes[keep]


def _detections_of_anchors(head: AnchorHead, maps: tuple[Tensor, ...], limits: Tensor
                           ) -> tuple[Tensor, ...]:
    cfg, (all_logits, all_deltas) = head.test_cfg, head(maps)
    priors = _priors(head, all_logits)
    found = []
    for level, (logits, deltas) in enumerate(zip(all_logits, all_deltas, strict=True)):
        logits = _rows(logits, head.cls_out_channels)
        scores = logits.sigmoid() if head.use_sigmoid_cls else logits.softmax(-1)[:, :-1]
        scores = scores.flatten()
        index = (scores > cfg.get('score_thr', 0)).nonzero().flatten()
        scores, order = scores[index].sort(descending=True)
        if cfg.get('nms_pre', -1) > 0:
            scores, order = scores[:cfg.nms_pre], order[:cfg.nms_pre]
        index = index[order]
        anchor = torch.div(index, head.num_classes, rounding_mode='floor')
        found.append((scores, index - anchor * head.num_classes, _rows(deltas, 4)[anchor],
                      priors[level][anchor]))
    scores, labels, deltas, anchors = map(torch.cat, zip(*found, strict=True))
    boxes = _decode(head.bbox_coder, anchors, deltas, limits)
    boxes, scores, labels = _large_enough(cfg, boxes, scores, labels)
    keep = _suppress(cfg.nms, boxes, scores, labels)[:cfg.max_per_img]
    return boxes[keep], scores[keep], labels[keep]


def _detections_of_proposals(head: StandardRoIHead, maps: tuple[Tensor, ...], proposals: Tensor,
                             limits: Tensor) -> tuple[Tensor, ...]:
    cfg, box_head = head.test_cfg, head.bbox_head
    features = _roi_features(head, head.bbox_roi_extractor, maps, proposals)
    logits, deltas = box_head(features)
    scores = logits.softmax(-1)[:, :-1].flatten()
    index = (scores > cfg.score_thr).nonzero().flatten()
    roi = torch.div(index, box_head.num_classes, rounding_mode='floor')
    scores, labels = scores[index], index - roi * box_head.num_classes
    deltas = deltas.reshape(-1, 4)[roi if box_head.reg_class_agnostic else index]
    boxes = _decode(box_head.bbox_coder, proposals[roi], deltas, limits)
    keep = _suppress(cfg.nms, boxes, scores, labels)
    if cfg.max_per_img > 0:
        keep = keep[:cfg.max_per_img]
    boxes, scores, labels = boxes[keep], scores[keep], labels[keep]
    if not head.with_mask:
        return boxes, scores, labels
    masks = head.mask_head(_roi_features(head, head.mask_roi_extractor, maps, boxes))
    if head.mask_head.class_agnostic:
        masks = masks[:, 0]
    else:
        first = torch.arange(masks.shape[0], device=masks.device) * head.mask_head.num_classes
        masks = masks.flatten(0, 1)[first + labels]
    return boxes, scores, labels, masks.sigmoid()


def _roi_features(head: StandardRoIHead, extractor: SingleRoIExtractor, maps: tuple[Tensor, ...],
                  boxes: Tensor) -> Tensor:
    """Features of shape (K, C, h, w), each box from the level that suits its size."""
    maps = maps[:extractor.num_inputs]
    rois = torch.cat([torch.zeros_like(boxes[:, :1]), boxes], 1)
    levels = extractor.map_roi_levels(rois, len(maps))
    found, places = [], []
    for level, (layer, map_) in enumerate(zip(extractor.roi_layers, maps, strict=True)):
        here = (levels == level).nonzero().flatten()
        found.append(roi_align(map_, rois[here], layer.output_size, layer.spatial_scale,
                               layer.sampling_ratio, layer.aligned))
        places.append(here)
    features = torch.cat(found)[torch.cat(places).argsort()]
    return head.shared_head(features) if head.with_shared_head else features


def _priors(head: AnchorHead, maps: list[Tensor]) -> list[Tensor]:
    sizes = [map_.shape[-2:] for map_ in maps]
    return head.prior_generator.grid_priors(sizes, dtype=maps[0].dtype, device=maps[0].device)


def _rows(map_: Tensor, width: int) -> Tensor:
    """Turn a map (1, A * width, H, W) into one row per anchor, (H * W * A, width)."""
    return map_[0].permute(1, 2, 0).reshape(-1, width)


def _decode(coder: DeltaXYWHBBoxCoder, anchors: Tensor, deltas: Tensor, limits: Tensor) -> Tensor:
    """Boxes (K, 4) from anchors and deltas of that shape."""
    deltas = deltas * deltas.new_tensor(coder.stds) + deltas.new_tensor(coder.means)
    size, largest = anchors[:, 2:] - anchors[:, :2], abs(math.log(16 / 1000))
    shift, growth = size * deltas[:, :2], deltas[:, 2:]
    if coder.add_ctr_clamp:
        shift = shift.clamp(-coder.ctr_clamp, coder.ctr_clamp)
        growth = growth.clamp(max=largest)
    else:
        growth = growth.clamp(-largest, largest)
    centre = (anchors[:, :2] + anchors[:, 2:]) * 0.5 + shift
    half = size * growth.exp() * 0.5
    boxes = torch.cat([centre - half, centre + half], 1)
    return torch.minimum(boxes.clamp(min=0), limits) if coder.clip_border else boxes


def _large_enough(cfg: dict, boxes: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    smallest = cfg.get('min_bbox_size', -1)
    if smallest < 0:
        return boxes, *others
    keep = ((boxes[:, 2:] - boxes[:, :2]) > smallest).all(1).nonzero().flatten()
    return tuple(value[keep] for value in (boxes, *others))


def _suppress(cfg: dict, boxes: Tensor, scores: Tensor, groups: Tensor) -> Tensor:
    """Indices of the boxes that are kept, the best first; boxes of two groups never compete."""
    if not cfg.get('class_agnostic', False):
        # With a zero for the case that there are no boxes.
        largest = torch.cat([boxes.flatten(), boxes.new_zeros(1)]).max()
        boxes = boxes + (groups.to(boxes) * (largest + 1))[:, None]
    return nms(boxes, scores, cfg['iou_threshold'])
