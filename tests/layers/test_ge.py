"""GELayer against gather-excite's equations and timm."""
import numpy as np
import pytest
import timm.layers
import torch

from eca_mm.layers import GELayer, SEVar1Layer
from tests.support.contract import (
    LayerContract,
    assert_equals_the_equation,
    batch_norm,
    count,
    sigmoid,
)


def nearest(y, size):
    rows = np.arange(size[0]) * y.shape[2] // size[0]
    columns = np.arange(size[1]) * y.shape[3] // size[1]
    return y[:, :, rows][:, :, :, columns]


def pooled(x, extent):
    """Mean of the 2 e - 1 neighbours a side of every e-th position, as far as they exist."""
    if extent == 0:
        return x.mean((2, 3), keepdims=True)
    rows, columns = (range(0, size, extent) for size in x.shape[2:])
    first = [[max(0, i - extent + 1) for i in axis] for axis in (rows, columns)]
    return np.stack([
        np.stack([x[:, :, top:i + extent, left:j + extent].mean((2, 3))
                  for left, j in zip(first[1], columns, strict=True)], 2)
        for top, i in zip(first[0], rows, strict=True)], 2)


def depthwise(x, kernel, stride, pad):
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[2:], (2, 3))
    return np.einsum('nchwij,cij->nchw', windows[:, :, ::stride, ::stride], kernel[:, 0])


def ge_numpy(variant, extent):

    def rescale(x, state):
        y = pooled(x, extent) if variant == 'theta-' else x
        steps = 0 if variant == 'theta-' else max(1, extent.bit_length() - 1)
        for i in range(steps):
            kernel = state[f'gather.{3 * i}.weight']
            y = depthwise(y, kernel, 1 if extent == 0 else 2, 0 if extent == 0 else 1)
            y = batch_norm(y, state, f'gather.{3 * i + 1}')
            y = y.clip(0) if i < steps - 1 else y
        if variant == 'theta+':
            y = np.einsum('dc,nchw->ndhw', state['fc1.weight'][:, :, 0, 0], y).clip(0)
            y = np.einsum('dc,nchw->ndhw', state['fc2.weight'][:, :, 0, 0], y)
        return x * nearest(sigmoid(y), x.shape[2:])

    return rescale


class TestThetaMinus(LayerContract):
    layer, abbr, options = GELayer, 'ge', dict(extent=2)

    @pytest.mark.parametrize('extent', [0, 2, 8])
    def test_parameters(self, extent):
        assert count(GELayer(24, extent=extent)) == 0

    @pytest.mark.parametrize('extent,size', [(0, (5, 6)), (2, (6, 7)), (4, (9, 8)), (8, (16, 9))])
    def test_equals_the_equation(self, extent, size):
        assert_equals_the_equation(GELayer(8, extent=extent), ge_numpy('theta-', extent),
                                   (2, 8, *size))

    @pytest.mark.parametrize('extent', [0, 2, 4, 8])
    def test_equals_timm(self, extent):
        other = timm.layers.GatherExcite(8, extent=extent, use_mlp=False)
        x = torch.randn(2, 8, 16, 13)
        torch.testing.assert_close(GELayer(8, extent=extent)(x), other(x), rtol=1e-6, atol=1e-6)

    def test_whole_map_is_se_var1(self):
        assert GELayer(16)(self.input()).equal(SEVar1Layer(16)(self.input()))


class TestTheta(LayerContract):
    layer, abbr, options = GELayer, 'ge', dict(variant='theta', extent=4)

    @pytest.mark.parametrize('extent,per_channel', [(2, 11), (4, 22), (8, 33)])
    def test_parameters(self, extent, per_channel):
        assert count(GELayer(24, 'theta', extent)) == 24 * per_channel

    def test_parameters_of_the_whole_map(self):
        assert count(GELayer(24, 'theta', map_size=(7, 5))) == 24 * (7 * 5 + 2)

    @pytest.mark.parametrize('extent,size', [(2, (6, 7)), (4, (9, 8)), (8, (16, 9))])
    def test_equals_the_equation(self, extent, size):
        assert_equals_the_equation(GELayer(8, 'theta', extent), ge_numpy('theta', extent),
                                   (2, 8, *size))


class TestThetaPlusOfTheWholeMap(LayerContract):
    layer, abbr = GELayer, 'ge'
    options = dict(variant='theta+', map_size=(5, 6), reduction=4)
    other_shape = (3, 16, 5, 6)

    def test_parameters(self):
        assert count(GELayer(32, 'theta+', 2)) == 32 * 11 + 2 * 32 * 2
        assert count(GELayer(32, 'theta+', map_size=7)) == 32 * 51 + 2 * 32 * 2

    @pytest.mark.parametrize('extent,map_size', [(0, (4, 5)), (4, None)])
    def test_equals_the_equation(self, extent, map_size):
        layer = GELayer(8, 'theta+', extent, map_size, reduction=4)
        assert_equals_the_equation(layer, ge_numpy('theta+', extent), (2, 8, 4, 5))

    def test_bad_reduction(self):
        with pytest.raises(ValueError, match='reduction is 32.*16 channels'):
            GELayer(16, 'theta+', 2, reduction=32)


class TestErrors:

    @pytest.mark.parametrize('options', [dict(variant='theta--'), dict(variant=None),
                                         dict(extent=3), dict(extent=16), dict(extent=True),
                                         dict(variant='theta'), dict(variant='theta', map_size=0),
                                         dict(variant='theta+', map_size=(7, )),
                                         dict(variant='theta', extent=2, map_size=7),
                                         dict(map_size=7)])
    def test_bad_options(self, options):
        name = list(options)[-1] if options != dict(variant='theta') else 'map_size'
        with pytest.raises(ValueError, match=f'{name} is'):
            GELayer(16, **options)

    def test_map_of_another_size(self):
        with pytest.raises(ValueError, match=r'map_size=\(7, 7\).*\(8, 7\)'):
            GELayer(4, 'theta', map_size=7)(torch.randn(1, 4, 8, 7))

    @pytest.mark.parametrize('variant', ['theta-', 'theta', 'theta+'])
    def test_map_smaller_than_the_extent(self, variant):
        layer = GELayer(4, variant, 8, reduction=2)
        with pytest.raises(ValueError, match=r'extent of 8.*\(9, 7\)'):
            layer(torch.randn(1, 4, 9, 7))
