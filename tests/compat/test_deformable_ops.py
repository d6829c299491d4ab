"""mmcv's deformable layers without compiled operators, against NumPy written from definitions."""
import importlib
import itertools

import mmcv.ops
import numpy as np
import pytest
import torch
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction

from eca_mm.compat import deformable_ops

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    """mmcv's functions on our operators even where compiled ones are installed."""
    for name in ('deform_conv', 'modulated_deform_conv', 'multi_scale_deform_attn'):
        module = importlib.import_module(f'mmcv.ops.{name}')
        monkeypatch.setattr(module, 'ext_module', deformable_ops)


def taps(y, x, height, width):
    """Pixels and weights of a bilinear sample; beyond the map there is nothing."""
    for row, column in itertools.product((int(np.floor(y)), int(np.floor(y)) + 1),
                                         (int(np.floor(x)), int(np.floor(x)) + 1)):
        if 0 <= row < height and 0 <= column < width:
            yield row, column, (1 - abs(y - row)) * (1 - abs(x - column))


def reference_convolution(x, weight, offset, mask, bias, stride, padding, dilation, groups,
                          deform_groups):
    """Dai et al., Eq. (2); with a mask Zhu et al., Eq. (1)."""
    n, channels, height, width = x.shape
    k, per_group, rows, columns = weight.shape
    out = np.zeros((n, k, *offset.shape[2:])) + (0 if bias is None else bias[:, None, None])
    offset = offset.reshape(n, deform_groups, rows * columns, 2, *offset.shape[2:])
    if mask is not None:
        mask = mask.reshape(n, deform_groups, rows * columns, *offset.shape[4:])
    for image, c, i, j, oy, ox in itertools.product(
            range(n), range(channels), range(rows), range(columns), *map(range, out.shape[2:])):
        shared, tap = c // (channels // deform_groups), i * columns + j
        dy, dx = offset[image, shared, tap, :, oy, ox]
        y = oy * stride[0] - padding[0] + i * dilation[0] + dy
        z = ox * stride[1] - padding[1] + j * dilation[1] + dx
        value = sum(w * x[image, c, row, column] for row, column, w in taps(y, z, height, width))
        if mask is not None:
            value *= mask[image, shared, tap, oy, ox]
        group = c // per_group
        filters = slice(group * (k // groups), (group + 1) * (k // groups))
        out[image, filters, oy, ox] += weight[filters, c % per_group, i, j] * value
    return out


GEOMETRIES = {
    'plain': dict(stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1, deform_groups=1),
    'odd': dict(stride=(2, 1), padding=(0, 2), dilation=(1, 2), groups=2, deform_groups=2),
}


def convolution_inputs(stride, padding, dilation, groups, deform_groups):
    x, weight = RNG.normal(size=(2, 4, 6, 7)), RNG.normal(size=(4, 4 // groups, 3, 2))
    size = [(x.shape[i + 2] + 2 * padding[i] - dilation[i] * (weight.shape[i + 2] - 1) - 1)
            // stride[i] + 1 for i in (0, 1)]
    # Some samples lie far outside.
    offset = RNG.normal(size=(2, 2 * deform_groups * 6, *size)) * 2
    mask = RNG.random(size=(2, deform_groups * 6, *size))
    return x, weight, offset, mask, RNG.normal(size=4)


def leaves(*arrays):
    return [torch.from_numpy(array).requires_grad_() for array in arrays]


@pytest.mark.parametrize('geometry', GEOMETRIES.values(), ids=list(GEOMETRIES))
class TestConvolution:

    def test_deform_conv2d(self, geometry):
        x, weight, offset, _, _ = convolution_inputs(**geometry)
        inputs = leaves(x, offset, weight)
        out = mmcv.ops.deform_conv2d(*inputs, *geometry.values())
        expected = reference_convolution(x, weight, offset, None, None, **geometry)
        np.testing.assert_allclose(out.detach().numpy(), expected, rtol=1e-10, atol=1e-12)
        assert_gradients(lambda x, o, w: reference_convolution(x, w, o, None, None, **geometry),
                         (x, offset, weight), inputs, out)

    @pytest.mark.parametrize('with_bias', [False, True])
    def test_modulated_deform_conv2d(self, geometry, with_bias):
        x, weight, offset, mask, bias = convolution_inputs(**geometry)
        arrays = [x, offset, mask, weight, *([bias] if with_bias else [])]
        inputs = leaves(*arrays)
        out = mmcv.ops.modulated_deform_conv2d(
            *inputs, *([] if with_bias else [None]), *geometry.values())

        def reference(x, offset, mask, weight, bias=None):
            return reference_convolution(x, weight, offset, mask, bias, **geometry)

        np.testing.assert_allclose(out.detach().numpy(), reference(*arrays), rtol=1e-10,
                                   atol=1e-12)
        assert_gradients(reference, arrays, inputs, out)


def assert_gradients(reference, arrays, inputs, out, entries=4, step=1e-6):
    """Compare the backward pass with differences of the reference, at some entries of each."""
    upstream = RNG.normal(size=tuple(out.shape))
    out.backward(torch.from_numpy(upstream))
    for i, (array, leaf) in enumerate(zip(arrays, inputs, strict=True)):
        for place in RNG.choice(array.size, min(entries, array.size), replace=False):
            moved = []
            for sign in (-1, 1):
                changed = [a.copy() for a in arrays]
                changed[i].reshape(-1)[place] += sign * step
                moved.append((reference(*changed) * upstream).sum())
            np.testing.assert_allclose(leaf.grad.reshape(-1)[place].item(),
                                       (moved[1] - moved[0]) / (2 * step), rtol=1e-5, atol=1e-6)


SHAPES = np.array([[4, 5], [2, 3]])


def reference_attention(value, locations, weights):
    """Zhu et al. (Deformable DETR), Eq. (3), before the output projection."""
    n, queries, heads, levels, points, _ = locations.shape
    out = np.zeros((n, queries, heads, value.shape[-1]))
    starts = np.cumsum([0, *SHAPES.prod(1)])
    for b, q, h, level, p in itertools.product(*map(range, (n, queries, heads, levels, points))):
        height, width = SHAPES[level]
        x, y = locations[b, q, h, level, p] * (width, height) - 0.5
        for row, column, w in taps(y, x, height, width):
            key = starts[level] + row * width + column
            out[b, q, h] += weights[b, q, h, level, p] * w * value[b, key, h]
    return out.reshape(n, queries, -1)


def attention_inputs():
    return (RNG.normal(size=(2, SHAPES.prod(1).sum(), 2, 3)),
            RNG.random(size=(2, 3, 2, 2, 2, 2)) * 1.4 - 0.2, RNG.random(size=(2, 3, 2, 2, 2)))


def attend(value, locations, weights):
    shapes = torch.from_numpy(SHAPES)
    starts = torch.tensor([0, 20])
    return MultiScaleDeformableAttnFunction.apply(value, shapes, starts, locations, weights, 64)


def test_multi_scale_deformable_attention():
    arrays = attention_inputs()
    inputs = leaves(*arrays)
    out = attend(*inputs)
    np.testing.assert_allclose(out.detach().numpy(), reference_attention(*arrays), rtol=1e-10,
                               atol=1e-12)
    assert_gradients(reference_attention, arrays, inputs, out)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    x, weight, offset, mask, bias = (
        torch.from_numpy(a).to(dtype).requires_grad_()
        for a in convolution_inputs(**GEOMETRIES['plain']))
    out = mmcv.ops.modulated_deform_conv2d(x, offset, mask, weight, bias,
                                           *GEOMETRIES['plain'].values())
    out.sum().backward()
    expected = mmcv.ops.modulated_deform_conv2d(
        x.float(), offset.float(), mask.float(), weight.float(), bias.float(),
        *GEOMETRIES['plain'].values())
    assert out.dtype == x.grad.dtype == dtype
    assert out.equal(expected.to(dtype))

    inputs = [torch.from_numpy(a).to(dtype).requires_grad_() for a in attention_inputs()]
    out = attend(*inputs)
    out.sum().backward()
    assert out.dtype == inputs[0].grad.dtype == dtype
    assert out.equal(attend(*(tensor.float() for tensor in inputs)).to(dtype))


def test_maps_in_channels_last():
    x, weight, offset, _, _ = map(torch.from_numpy, convolution_inputs(**GEOMETRIES['plain']))
    last = x.to(memory_format=torch.channels_last)
    geometry = GEOMETRIES['plain'].values()
    assert mmcv.ops.deform_conv2d(last, offset, weight, *geometry).equal(
        mmcv.ops.deform_conv2d(x, offset, weight, *geometry))


def test_layers_of_mmcv_learn():
    x = torch.randn(2, 4, 8, 8)
    for layer in (mmcv.ops.DeformConv2dPack(4, 4, 3, padding=1),
                  mmcv.ops.ModulatedDeformConv2dPack(4, 4, 3, padding=1)):
        torch.nn.init.normal_(layer.conv_offset.weight, std=.1)
        layer(x).square().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())
        assert layer.conv_offset.weight.grad.any()


def test_offsets_of_a_diverged_network_read_nothing():
    # torchvision's operator ends the process with a segmentation fault.
    x, weight = torch.rand(1, 2, 6, 6), torch.rand(3, 2, 3, 3)
    far, lost = torch.zeros(2, 1, 18, 4, 4)
    far[:, 4], lost[:, 4] = 1e6, torch.nan
    lost.requires_grad_()
    out = mmcv.ops.deform_conv2d(x, lost, weight)
    torch.testing.assert_close(out, mmcv.ops.deform_conv2d(x, far, weight), rtol=0, atol=0)
    out.sum().backward()
    assert lost.grad.isfinite().all()


def test_larger_offsets_are_read_from_the_start_as_by_mmcv():
    # mmcv's kernel finds the number of a tap and pixel by the size of the output.
    x, weight = torch.rand(2, 2, 4, 4), torch.rand(3, 2, 3, 3)
    offset = torch.randn(2, 18, 8, 8, requires_grad=True)
    mask = torch.rand(2, 9, 8, 8, requires_grad=True)
    out = mmcv.ops.modulated_deform_conv2d(x, offset, mask, weight, None, 1, 1, 1, 1, 1)
    first = [part.detach().reshape(2, -1)[:, :channels * 16].reshape(2, channels, 4, 4)
             for part, channels in ((offset, 18), (mask, 9))]
    expected = reference_convolution(
        *(part.numpy() for part in (x, weight, first[0])), first[1].numpy(), None,
        **GEOMETRIES['plain'])
    np.testing.assert_allclose(out.detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    alone = [part.requires_grad_() for part in first]
    mmcv.ops.modulated_deform_conv2d(x, *alone, weight, None, 1, 1, 1, 1, 1).sum().backward()
    out.sum().backward()
    for part, small in zip((offset, mask), alone, strict=True):
        grad = part.grad.reshape(2, -1)
        np.testing.assert_array_equal(grad[:, :small[0].numel()],
                                      small.grad.reshape(2, -1))
        assert not grad[:, small[0].numel():].any()
