"""GSoPLayer against its equation and the published model size."""
import numpy as np
import pytest

from eca_mm.backbones import AttentionResNet
from eca_mm.layers import GSoPLayer
from tests.support.contract import (
    LayerContract,
    assert_equals_the_equation,
    batch_norm,
    count,
    sigmoid,
)


def gsop_numpy(x, state):
    y = np.einsum('dc,nchw->ndhw', state['reduce.weight'][:, :, 0, 0], x)
    y = batch_norm(y + state['reduce.bias'][:, None, None], state, 'bn').clip(0)
    n, d = y.shape[:2]
    cov = np.stack([np.cov(image.reshape(d, -1), bias=True) for image in y])
    rows = batch_norm(cov, state, 'row_bn')
    kernels = state['row_conv.weight'].reshape(d, 4, d)
    numbers = np.einsum('nij,ikj->nik', rows, kernels).reshape(n, 4 * d) + state['row_conv.bias']
    numbers = np.where(numbers > 0, numbers, 0.1 * numbers)
    gate = sigmoid(numbers @ state['fc.weight'].T + state['fc.bias'])
    return x * gate[:, :, None, None]


class TestGSoPLayer(LayerContract):
    layer, abbr, options = GSoPLayer, 'gsop', dict(cov_channels=6)

    def test_parameters(self):
        for c, d in ((512, 128), (32, 5)):
            assert count(GSoPLayer(c, d)) == c * d + 4 * d**2 + 4 * c * d + c + 9 * d

    def test_equals_the_equation(self):
        assert_equals_the_equation(self.build(), gsop_numpy, (3, 16, 4, 5))

    @pytest.mark.parametrize('d', [0, 17, 2.0, '8', True])
    def test_bad_cov_channels(self, d):
        with pytest.raises(ValueError, match='cov_channels'):
            GSoPLayer(16, d)


@pytest.mark.parametrize('stages,millions', [((2, 3, 4), 28.05), ((1, 2, 3, 4), 28.29)])
def test_published_size(stages, millions):
    """A block at the end of c3 to c5 (GSoP-Net1), or of every stage (its authors' code)."""
    gsop = dict(type='GSoPLayer')
    attention = [[None] * (blocks - 1) + [gsop if stage in stages else None]
                 for stage, blocks in enumerate((3, 4, 6, 3), 1)]
    model = AttentionResNet(50, attention, strides=(1, 2, 2, 1))
    assert round((count(model) + 2049 * 1000) / 1e6, 2) == millions
