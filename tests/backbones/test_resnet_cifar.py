"""ResNets for CIFAR: their published sizes, and what they share with mmpretrain's."""
import pytest
import torch
from mmpretrain.models.backbones import ResNet_CIFAR

from eca_mm.backbones import AttentionResNetCIFAR, ECAResNetCIFAR
from eca_mm.deploy import fuse
from eca_mm.layers import ECALayer
from tests.support.contract import count, randomize


@pytest.mark.parametrize(('depth', 'printed'), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85)])
def test_sizes_of_the_resnet_paper(depth, printed):
    """Its Table 6; our shortcuts add 2,752 weights, and the classifier 650."""
    model = AttentionResNetCIFAR(depth)
    assert f'{(count(model) - 2752 + 650) / 1e6:.2f}' == f'{printed:.2f}'


def test_maps():
    model = ECAResNetCIFAR(20, out_indices=(0, 1, 2))
    shapes = [tuple(out.shape[1:]) for out in model(torch.randn(1, 3, 32, 32))]
    assert shapes == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]


def test_without_attention_it_is_mmpretrains():
    ours, theirs = AttentionResNetCIFAR(18, base_channels=8), ResNet_CIFAR(18, base_channels=8)
    theirs.load_state_dict(randomize(ours).state_dict())
    theirs.eval()  # mmpretrain's returns None
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(ours.eval()(x), theirs(x))


@pytest.mark.parametrize('depth', [20, 18, 50])
def test_eca_in_every_block(depth):
    model = ECAResNetCIFAR(depth, kernel_size=5)
    layers = [module for module in model.modules() if isinstance(module, ECALayer)]
    assert len(layers) == sum(model.stage_blocks)
    assert 'layer1.0.eca.conv.weight' in model.state_dict()
    assert count(model) - count(AttentionResNetCIFAR(depth)) == 5 * len(layers)


def test_kernel_sizes_by_stage():
    model = ECAResNetCIFAR(20, kernel_size=(1, 3, 5))
    assert [getattr(model, f'layer{i}')[0].eca.kernel_size for i in (1, 2, 3)] == [1, 3, 5]
    with pytest.raises(ValueError, match='3 stages'):
        ECAResNetCIFAR(20, kernel_size=(3, 3, 5, 7))


def test_learns_and_has_an_exact_inference_form():
    model = randomize(ECAResNetCIFAR(20)).train()
    x = torch.randn(2, 3, 32, 32)
    model(x)[0].square().mean().backward()
    assert all(p.grad is not None for p in model.parameters())
    model.eval()
    with torch.no_grad():
        before = model(x)[0]
        torch.testing.assert_close(fuse(model)(x)[0], before, rtol=1e-3, atol=1e-3 * before.std())
