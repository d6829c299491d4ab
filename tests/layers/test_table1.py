"""The paper's Table 1, derived: what a module's Jacobian and its parameter count say about it."""
import pytest
import torch
from torch import nn

from eca_mm.layers import (
    CBAM,
    ChannelAttention,
    DoubleAttention,
    ECALayer,
    GELayer,
    GSoPLayer,
    SELayer,
)
from tests.support.contract import count, randomize

# No dimensionality reduction, cross-channel interaction, lightweight; the last is not printed for
# SENet, the yardstick.
PRINTED = {
    'SENet': (False, True, None),
    'CBAM': (False, True, False),
    'GE-theta-minus': (True, False, True),
    'GE-theta': (True, False, False),
    'GE-theta-plus': (False, True, False),
    'A2-Net': (False, True, False),
    'GSoP-Net': (False, True, False),
    'ECA-Net': (True, True, True),
}

# Channels, map size and number of blocks of ResNet-50's stages for images of 224x224.
STAGES = ((256, 56, 3), (512, 28, 4), (1024, 14, 6), (2048, 7, 3))


def build(name: str, channels: int, size: int) -> nn.Module:
    """The module with its paper's settings, for maps of ``size`` positions a side."""
    return {
        'SENet': lambda: SELayer(channels),
        'CBAM': lambda: CBAM(channels),
        'GE-theta-minus': lambda: GELayer(channels, 'theta-'),
        'GE-theta': lambda: GELayer(channels, 'theta', map_size=size),
        'GE-theta-plus': lambda: GELayer(channels, 'theta+', map_size=size),
        'A2-Net': lambda: DoubleAttention(channels),
        'GSoP-Net': lambda: GSoPLayer(channels, min(128, channels // 2)),
        'ECA-Net': lambda: ECALayer(channels),
    }[name]()


def channel_jacobian(layer: nn.Module, channels: int, size: int) -> torch.Tensor:
    """How each channel depends on the channels elsewhere, (C, C).

    Derivatives are of the gate, or of one position of the output where there is none, by the
    channels of *another* position: what is left of ``x * gate`` or ``x + attention`` is attention.
    """
    torch.manual_seed(0)
    x = torch.randn(1, channels, size, size, dtype=torch.float64)

    def weights(vector: torch.Tensor) -> torch.Tensor:
        moved = x.clone()
        moved[0, :, 0, 0] = vector
        if isinstance(layer, ChannelAttention):
            return layer.gate(moved)[0, :, 0, 0]
        return layer(moved)[0, :, 1, 1]

    return torch.autograd.functional.jacobian(weights, x[0, :, 0, 0])


@pytest.mark.parametrize('name', PRINTED)
def test_table_1(name):
    channels, size = 64, 3
    layer = randomize(build(name, channels, size)).double().eval()
    jacobian = channel_jacobian(layer, channels, size)
    keeps_dimensions = torch.linalg.matrix_rank(jacobian).item() == channels
    interacts = jacobian.triu(1).any().item() or jacobian.tril(-1).any().item()
    # At the same places, all blocks of ResNet-50: "less parameters than SE".
    params, of_se = (sum(n * count(build(module, c, s)) for c, s, n in STAGES)
                     for module in (name, 'SENet'))
    lightweight = None if name == 'SENet' else params < of_se
    assert (keeps_dimensions, interacts, lightweight) == PRINTED[name]
