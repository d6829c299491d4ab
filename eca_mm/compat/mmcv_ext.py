"""The operators of ``mmcv._ext`` that detectors need, by those of torchvision and PyTorch.

Loaded under the name ``mmcv._ext``. Functions have the names, arguments and results of mmcv's
compiled extension and run on every device that torchvision's operators support. The others
exist, because mmcv asks for them when it is imported, and raise NotImplementedError when called.
"""
from typing import Any

import torch
import torchvision  # noqa: F401  registers torch.ops.torchvision
from torch import Tensor
from torch.nn import functional

from eca_mm.compat.deformable_ops import (  # noqa: F401  operators of this module
    deform_conv_backward_input,
    deform_conv_backward_parameters,
    deform_conv_forward,
    modulated_deform_conv_backward,
    modulated_deform_conv_forward,
    ms_deform_attn_backward,
    ms_deform_attn_forward,
)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Greedy non-maximum suppression.

    Args:
        boxes (Tensor): ``(N, 4)``, ``x1, y1, x2, y2``.
        scores (Tensor): ``(N,)``.
        iou_threshold (float): A box goes if its IoU with a better one is greater than this.
        offset (int): 0, or 1 if a box from pixel x1 to pixel x2 is ``x2 - x1 + 1`` wide.

    Returns:
        Tensor: ``(M,)`` int64, the kept boxes by falling score; equal scores keep their order.
    """
    boxes, scores = _computable(boxes), _computable(scores)
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    # mmcv compares in single precision: an IoU of 0.3 is not greater than a threshold of 0.3.
    iou_threshold = torch.tensor(iou_threshold, dtype=boxes.dtype).item()
    return torch.ops.torchvision.nms(boxes, scores.to(boxes.dtype), iou_threshold)


def roi_align_forward(input: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor,
                      argmax_x: Tensor, aligned_height: int, aligned_width: int,
                      spatial_scale: float, sampling_ratio: int, pool_mode: int,
                      aligned: bool) -> None:
    """Writes the RoIAlign of ``input`` into ``output``.

    Args:
        input (Tensor): ``(N, C, H, W)`` feature map.
        rois (Tensor): ``(K, 5)``, the image's index in the batch and ``x1, y1, x2, y2``.
        output (Tensor): ``(K, C, aligned_height, aligned_width)``, overwritten.
        argmax_y, argmax_x (Tensor): Used by max pooling only.
        aligned_height, aligned_width (int): Bins of an RoI.
        spatial_scale (float): From the coordinates of ``rois`` to those of ``input``.
        sampling_ratio (int): Samples of a bin in each direction; 0 adapts them to its size.
        pool_mode (int): 1, average pooling.
        aligned (bool): Whether pixel centres lie at half coordinates.

    RoIs that are not finite, as a diverged network gives, become NaN.

    Raises:
        NotImplementedError: If ``pool_mode`` is 0, max pooling.
    """
    _check_average(pool_mode)
    rois, invalid = _finite(rois)
    output.copy_(torch.ops.torchvision.roi_align(
        _computable(input), rois, spatial_scale, aligned_height, aligned_width, sampling_ratio,
        aligned).masked_fill(invalid, torch.nan))


def roi_align_backward(grad_output: Tensor, rois: Tensor, argmax_y: Tensor, argmax_x: Tensor,
                       grad_input: Tensor, aligned_height: int, aligned_width: int,
                       spatial_scale: float, sampling_ratio: int, pool_mode: int,
                       aligned: bool) -> None:
    """Adds the gradient of :func:`roi_align_forward` to ``grad_input``.

    Args:
        grad_output (Tensor): ``(K, C, aligned_height, aligned_width)``.
        grad_input (Tensor): ``(N, C, H, W)``, added to.

    The other arguments are those of the forward function.
    """
    _check_average(pool_mode)
    rois, invalid = _finite(rois)
    grad_input += torch.ops.torchvision._roi_align_backward(
        _computable(grad_output).masked_fill(invalid, 0), rois, spatial_scale, aligned_height,
        aligned_width, *grad_input.shape, sampling_ratio, aligned)


def sigmoid_focal_loss_forward(input: Tensor, target: Tensor, weight: Tensor, output: Tensor,
                               gamma: float, alpha: float) -> None:
    """Writes the focal loss of every logit into ``output`` (RetinaNet takes it on a GPU).

    Args:
        input (Tensor): ``(N, classes)`` logits.
        target (Tensor): ``(N,)`` int64, the class, or ``classes`` for background.
        weight (Tensor): ``(classes,)`` weights of the targets' classes, or empty for none.
        output (Tensor): ``(N, classes)``, overwritten.
        gamma (float): Exponent of the modulating factor.
        alpha (float): Weight of positives; negatives have ``1 - alpha``.
    """
    output.copy_(_focal_loss(_computable(input), target, weight, gamma, alpha))


def sigmoid_focal_loss_backward(input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor,
                                gamma: float, alpha: float) -> None:
    """Writes the derivative of every element's focal loss by its logit into ``grad_input``."""
    with torch.enable_grad():
        logits = _computable(input).detach().requires_grad_()
        loss = _focal_loss(logits, target, weight, gamma, alpha).sum()
    grad_input.copy_(torch.autograd.grad(loss, logits)[0])


def _focal_loss(logits: Tensor, target: Tensor, weight: Tensor, gamma: float,
                alpha: float) -> Tensor:
    classes = logits.size(1)
    # Background is class number `classes`: one column too many, cut off again.
    positive = functional.one_hot(target, classes + 1)[:, :classes].to(logits.dtype)
    entropy = functional.binary_cross_entropy_with_logits(logits, positive, reduction='none')
    probability = logits.sigmoid()
    missed = positive * (1 - probability) + (1 - positive) * probability
    loss = (alpha * positive + (1 - alpha) * (1 - positive)) * missed.pow(gamma) * entropy
    if weight.numel():
        loss = loss * torch.cat([weight, weight.new_ones(1)])[target][:, None]
    return loss


def _computable(tensor: Tensor) -> Tensor:
    """Half precision is computed in single: not every device has the operators for it."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _finite(rois: Tensor) -> tuple[Tensor, Tensor]:
    """RoIs with zeros for those that are not finite, and ``(K, 1, 1, 1)``, which these are.

    torchvision's operator would turn such a number into an address and end the process.
    """
    invalid = ~rois.isfinite().all(1, keepdim=True)
    return _computable(rois).masked_fill(invalid, 0), invalid[..., None, None]


def _check_average(pool_mode: int) -> None:
    if pool_mode != 1:
        raise _not_supplied('roi_align with pool_mode="max"')


def _not_supplied(name: str) -> NotImplementedError:
    return NotImplementedError(
        f'The mmcv operator {name} is not available without compiled mmcv: run `make mmcv-ops`, '
        'or, with torch installed, `pip install "setuptools<81" wheel ninja` and then '
        '`MMCV_WITH_OPS=1 pip install --no-build-isolation --no-binary mmcv mmcv==2.1.0`.')


def __getattr__(name: str) -> Any:
    if name.startswith('_'):
        raise AttributeError(f'module {__name__} has no attribute {name}')

    def operator(*args, **kwargs) -> Any:
        raise _not_supplied(name)

    operator.__name__ = name
    return operator
