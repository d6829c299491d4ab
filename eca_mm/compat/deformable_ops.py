"""Deformable convolution and attention of ``mmcv._ext``, by torchvision's operator and PyTorch.

Functions have the names, arguments and results of mmcv's compiled extension. They run on every
device that ``torchvision.ops.deform_conv2d`` and ``grid_sample`` run on. Half precision is
computed in single.
"""
# ruff: noqa: D417, N803  the arguments and their names are mmcv's
from typing import Any

import torch
from torch import Tensor


def deform_conv_forward(input: Tensor, weight: Tensor, offset: Tensor, output: Tensor,
                        columns: Tensor, ones: Tensor, *, kW: int, kH: int, dW: int, dH: int,
                        padW: int, padH: int, dilationW: int, dilationH: int, group: int,
                        deformable_group: int, im2col_step: int) -> None:
    """Writes the deformable convolution of ``input`` into ``output``.

    Args:
        input (Tensor): ``(N, C, H, W)`` feature map.
        weight (Tensor): ``(K, C / group, kH, kW)``.
        offset (Tensor): ``(N, 2 * deformable_group * kH * kW, H', W')``, y before x.
        output (Tensor): ``(N, K, H', W')``, overwritten.
        columns, ones (Tensor): Scratch memory of the compiled operator; not used.
        kW, kH (int): Size of the kernel.
        dW, dH (int): Stride.
        padW, padH (int): Padding.
        dilationW, dilationH (int): Dilation.
        group (int): Groups of the convolution.
        deformable_group (int): Groups of channels that share their offsets.
        im2col_step (int): Images that the compiled operator takes at once; not used.
    """
    output.copy_(_convolve(input, weight, offset, None, None, (dH, dW), (padH, padW),
                           (dilationH, dilationW), group, deformable_group))


def deform_conv_backward_input(input: Tensor, offset: Tensor, grad_output: Tensor,
                               grad_input: Tensor, grad_offset: Tensor, weight: Tensor,
                               columns: Tensor, *, kW: int, kH: int, dW: int, dH: int, padW: int,
                               padH: int, dilationW: int, dilationH: int, group: int,
                               deformable_group: int, im2col_step: int) -> None:
    """Writes the gradients of :func:`deform_conv_forward` by map and offsets.

    Args:
        grad_output (Tensor): ``(N, K, H', W')``.
        grad_input (Tensor): Like ``input``, overwritten.
        grad_offset (Tensor): Like ``offset``, overwritten.

    The other arguments are those of the forward function.
    """
    grads = _gradients(grad_output, input, weight, offset, None, None, (dH, dW), (padH, padW),
                       (dilationH, dilationW), group, deformable_group)
    grad_input.copy_(grads[0])
    grad_offset.copy_(grads[2])


def deform_conv_backward_parameters(input: Tensor, offset: Tensor, grad_output: Tensor,
                                    grad_weight: Tensor, columns: Tensor, ones: Tensor, *, kW: int,
                                    kH: int, dW: int, dH: int, padW: int, padH: int,
                                    dilationW: int, dilationH: int, group: int,
                                    deformable_group: int, scale: float, im2col_step: int) -> None:
    """Adds the gradient of :func:`deform_conv_forward` by the weights to ``grad_weight``.

    Args:
        grad_output (Tensor): ``(N, K, H', W')``.
        grad_weight (Tensor): Like ``weight``, added to.
        scale (float): A factor of what is added.

    The other arguments are those of the forward function.
    """
    # The gradient by the weights does not depend on their values.
    grads = _gradients(grad_output, input, torch.zeros_like(grad_weight), offset, None, None,
                       (dH, dW), (padH, padW), (dilationH, dilationW), group, deformable_group)
    grad_weight += scale * grads[1].to(grad_weight.dtype)


def modulated_deform_conv_forward(input: Tensor, weight: Tensor, bias: Tensor, ones: Tensor,
                                  offset: Tensor, mask: Tensor, output: Tensor, columns: Tensor, *,
                                  kernel_h: int, kernel_w: int, stride_h: int, stride_w: int,
                                  pad_h: int, pad_w: int, dilation_h: int, dilation_w: int,
                                  group: int, deformable_group: int, with_bias: bool) -> None:
    """Writes the modulated deformable convolution (DCNv2) of ``input`` into ``output``.

    Args:
        input (Tensor): ``(N, C, H, W)`` feature map.
        weight (Tensor): ``(K, C / group, kernel_h, kernel_w)``.
        bias (Tensor): ``(K,)``, read if ``with_bias``.
        ones, columns (Tensor): Scratch memory of the compiled operator; not used.
        offset (Tensor): ``(N, 2 * deformable_group * kernel_h * kernel_w, H', W')``, y before x.
        mask (Tensor): ``(N, deformable_group * kernel_h * kernel_w, H', W')``, the modulation.
        output (Tensor): ``(N, K, H', W')``, overwritten.
        kernel_h, kernel_w (int): Size of the kernel.
        stride_h, stride_w (int): Stride.
        pad_h, pad_w (int): Padding.
        dilation_h, dilation_w (int): Dilation.
        group (int): Groups of the convolution.
        deformable_group (int): Groups of channels that share their offsets.
        with_bias (bool): Whether ``bias`` is added.

    Of offsets and a mask that are larger than the output, mmcv reads the first numbers of each
    image. DyHead's convolutions of the next level are trained that way.
    """
    offset, mask = (_first_numbers(part, output.shape[2:]) for part in (offset, mask))
    output.copy_(_convolve(input, weight, offset, mask, bias if with_bias else None,
                           (stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w), group,
                           deformable_group))


def modulated_deform_conv_backward(input: Tensor, weight: Tensor, bias: Tensor, ones: Tensor,
                                   offset: Tensor, mask: Tensor, columns: Tensor,
                                   grad_input: Tensor, grad_weight: Tensor, grad_bias: Tensor,
                                   grad_offset: Tensor, grad_mask: Tensor, grad_output: Tensor, *,
                                   kernel_h: int, kernel_w: int, stride_h: int, stride_w: int,
                                   pad_h: int, pad_w: int, dilation_h: int, dilation_w: int,
                                   group: int, deformable_group: int, with_bias: bool) -> None:
    """Writes the gradients of :func:`modulated_deform_conv_forward`.

    Args:
        grad_input, grad_weight, grad_offset, grad_mask (Tensor): Like what they belong to,
            overwritten.
        grad_bias (Tensor): Like ``bias``, overwritten if ``with_bias``.
        grad_output (Tensor): ``(N, K, H', W')``.

    The other arguments are those of the forward function.
    """
    offset, mask = (_first_numbers(part, grad_output.shape[2:]) for part in (offset, mask))
    grads = _gradients(grad_output, input, weight, offset, mask, bias if with_bias else None,
                       (stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w), group,
                       deformable_group)
    for target, grad in zip((grad_input, grad_weight, grad_offset, grad_mask), grads[:4],
                            strict=True):
        if target.shape == grad.shape:
            target.copy_(grad)
        else:
            target.zero_().flatten(1)[:, :grad[0].numel()] = grad.flatten(1)
    if with_bias:
        grad_bias.copy_(grads[4])


def ms_deform_attn_forward(value: Tensor, value_spatial_shapes: Tensor,
                           value_level_start_index: Tensor, sampling_locations: Tensor,
                           attention_weights: Tensor, *, im2col_step: int) -> Tensor:
    """Computes multi-scale deformable attention.

    Args:
        value (Tensor): ``(N, keys, heads, D)``, the maps of all levels one after the other.
        value_spatial_shapes (Tensor): ``(levels, 2)`` int64, height and width of each map.
        value_level_start_index (Tensor): ``(levels,)``, follows from the shapes; not used.
        sampling_locations (Tensor): ``(N, queries, heads, levels, points, 2)``, x and y in 0 to 1.
        attention_weights (Tensor): ``(N, queries, heads, levels, points)``.
        im2col_step (int): Images that the compiled operator takes at once; not used.

    Returns:
        Tensor: ``(N, queries, heads * D)``.
    """
    with torch.no_grad():
        return _attend(_computable(value), value_spatial_shapes, _computable(sampling_locations),
                       _computable(attention_weights)).to(value.dtype)


def ms_deform_attn_backward(value: Tensor, value_spatial_shapes: Tensor,
                            value_level_start_index: Tensor, sampling_locations: Tensor,
                            attention_weights: Tensor, grad_output: Tensor, grad_value: Tensor,
                            grad_sampling_loc: Tensor, grad_attn_weight: Tensor, *,
                            im2col_step: int) -> None:
    """Writes the gradients of :func:`ms_deform_attn_forward`.

    Args:
        grad_output (Tensor): ``(N, queries, heads * D)``.
        grad_value, grad_sampling_loc, grad_attn_weight (Tensor): Like what they belong to,
            overwritten.

    The other arguments are those of the forward function.
    """
    inputs = [_computable(tensor).detach().requires_grad_()
              for tensor in (value, sampling_locations, attention_weights)]
    with torch.enable_grad():
        output = _attend(inputs[0], value_spatial_shapes, *inputs[1:])
    grads = torch.autograd.grad(output, inputs, _computable(grad_output))
    for target, grad in zip((grad_value, grad_sampling_loc, grad_attn_weight), grads, strict=True):
        target.copy_(grad)


def _attend(value: Tensor, shapes: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
    # mmcv.ops loads this module, so it can only be imported when a function is called.
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch
    return multi_scale_deformable_attn_pytorch(value, shapes.tolist(), locations, weights)


def _convolve(input: Tensor, weight: Tensor, offset: Tensor, mask: Tensor | None,
              bias: Tensor | None, *geometry: Any) -> Tensor:
    arguments = _arguments(input, weight, offset, mask, bias, *geometry)
    return torch.ops.torchvision.deform_conv2d(*arguments)


def _gradients(grad_output: Tensor, input: Tensor, weight: Tensor, offset: Tensor,
               mask: Tensor | None, bias: Tensor | None, *geometry: Any
               ) -> tuple[Tensor, ...]:
    """Gradients by input, weight, offset, mask and bias."""
    arguments = _arguments(input, weight, offset, mask, bias, *geometry)
    return torch.ops.torchvision._deform_conv2d_backward(
        _computable(grad_output).contiguous(), *arguments)


def _arguments(input: Tensor, weight: Tensor, offset: Tensor, mask: Tensor | None,
               bias: Tensor | None, stride: tuple[int, int], padding: tuple[int, int],
               dilation: tuple[int, int], group: int, deformable_group: int) -> tuple:
    """Arguments for torchvision's operator, which needs tensors even without a mask or bias."""
    has_mask = mask is not None
    mask = mask if has_mask else input.new_zeros(len(input), 1)
    bias = bias if bias is not None else input.new_zeros(len(weight))
    # torchvision's operator turns NaN into an address and ends the process; far outside of the
    # map there is nothing, which is what mmcv's reads there.
    offset = torch.nan_to_num(_computable(offset), nan=1e9)
    tensors = (_computable(tensor).contiguous() for tensor in (input, weight, offset, mask, bias))
    return (*tensors, *stride, *padding, *dilation, group, deformable_group, has_mask)


def _first_numbers(tensor: Tensor, size: torch.Size) -> Tensor:
    """``(N, C, *size)`` with the first numbers of each image of a larger ``(N, C, H, W)``."""
    if tensor.shape[2:] == size or tensor.shape[2:].numel() < size.numel():
        return tensor
    number = tensor.size(1) * size.numel()
    return tensor.flatten(1)[:, :number].reshape(*tensor.shape[:2], *size)


def _computable(tensor: Tensor) -> Tensor:
    """Half precision is computed in single: not every device has the operators for it."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
