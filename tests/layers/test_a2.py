"""DoubleAttention against its equation and the published model size."""
import numpy as np
import pytest

from eca_mm.backbones import AttentionResNet
from eca_mm.layers import DoubleAttention
from tests.support.contract import (
    LayerContract,
    assert_equals_the_equation,
    batch_norm,
    count,
    softmax,
)


def a2_numpy(x, state):
    n, c, h, w = x.shape
    weight = {name: state[f'{name}.weight'][:, :, 0, 0]
              for name in ('features', 'gather', 'distribute', 'out')}
    positions = x.reshape(n, c, h * w)
    a, b, v = (np.einsum('mc,ncp->nmp', weight[name], positions)
               for name in ('features', 'gather', 'distribute'))
    descriptors = np.einsum('nmp,nkp->nmk', a, softmax(b, 2))
    z = np.einsum('nmk,nkp->nmp', descriptors, softmax(v, 1))
    out = np.einsum('cm,nmp->ncp', weight['out'], z).reshape(x.shape)
    return x + batch_norm(out, state, 'bn')


class TestDoubleAttention(LayerContract):
    layer, abbr = DoubleAttention, 'a2'

    def test_parameters(self):
        assert count(DoubleAttention(64)) == 2 * 64**2 + 2 * 64
        assert count(DoubleAttention(64, 8)) == 4 * 64 * 8 + 2 * 64

    def test_equals_the_equation(self):
        assert_equals_the_equation(self.build(), a2_numpy, (2, 16, 4, 5))

    def test_starts_as_the_identity(self):
        assert DoubleAttention(16)(self.input()).equal(self.input())

    @pytest.mark.parametrize('reduction', [0, 17, 1.5])
    def test_bad_reduction(self, reduction):
        with pytest.raises(ValueError, match='reduction'):
            DoubleAttention(16, reduction)


def test_published_size():
    """Five blocks in res3 (2) and res4 (3) of ResNet-50: 32.9 million parameters."""
    a2 = dict(type='DoubleAttention')
    attention = [None, [None, None, a2, a2], [None] * 3 + [a2] * 3, None]
    assert round((count(AttentionResNet(50, attention)) + 2049 * 1000) / 1e6, 1) == 32.9
