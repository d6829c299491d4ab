"""Classifiers as the authors of ECA-Net published them."""
import pytest
import torch
from torch.nn import functional as F

from eca_mm.checkpoints.converters.ecanet import from_ecanet
from eca_mm.utils.errors import UserError
from tests.support.ecanet_files import RESNETS, mobilenet_v2, model_of, published, resnet


def run_resnet(weights: dict, x: torch.Tensor) -> torch.Tensor:
    """The network as the paper describes it, written out."""

    def bn(name, x):
        return F.batch_norm(x, *(weights[f'{name}.{key}'] for key in (
            'running_mean', 'running_var', 'weight', 'bias')))

    x = F.max_pool2d(bn('bn1', F.conv2d(x, weights['conv1.weight'], None, 2, 3)).relu(), 3, 2, 1)
    for stage in range(1, 5):
        block = 0
        while f'layer{stage}.{block}.conv1.weight' in weights:
            name, out, last = f'layer{stage}.{block}', x, 2
            if f'{name}.conv3.weight' in weights:
                last = 3
            for i in range(1, last + 1):
                weight = weights[f'{name}.conv{i}.weight']
                # The 3x3 convolution of a bottleneck and the first of a basic block have strides.
                strided = stage > 1 and block == 0 and i == last - 1
                out = bn(f'{name}.bn{i}', F.conv2d(out, weight, None, 1 + strided,
                                                   weight.shape[-1] // 2))
                out = out.relu() if i < last else out
            eca = weights[f'{name}.eca.conv.weight']
            gate = F.conv1d(out.mean((2, 3))[:, None], eca, padding=eca.shape[-1] // 2).sigmoid()
            if f'{name}.downsample.0.weight' in weights:
                x = bn(f'{name}.downsample.1', F.conv2d(
                    x, weights[f'{name}.downsample.0.weight'], None, 1 + (stage > 1)))
            x = (out * gate[:, 0, :, None, None] + x).relu()
            block += 1
    return F.linear(x.mean((2, 3)), weights['fc.weight'], weights['fc.bias'])


@pytest.mark.parametrize('depth', [
    18, 50, *(pytest.param(depth, marks=pytest.mark.slow) for depth in (34, 101, 152))])
def test_resnet(depth):
    _, _, kernel_sizes, name = RESNETS[depth]
    weights = resnet(depth, kernel_sizes)
    conversion = from_ecanet(published(weights, 'se_resnet50'))
    assert (conversion.base, conversion.changes) == (f'eca_resnet/{name}_4xb64_in1k.py', {})
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model_of(conversion)(images, mode='tensor'),
                                   run_resnet(weights, images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(('kernel_sizes', 'name', 'written'), [
    ((5, 5, 5, 5), 'eca-resnet50-k5', None),
    ((5, 5, 5, 7), 'eca-resnet50', None),
    ((3, 9, 1, 3), 'eca-resnet50', (3, 9, 1, 3)),
])
def test_kernel_sizes_are_read(kernel_sizes, name, written):
    conversion = from_ecanet(resnet(50, kernel_sizes))
    assert conversion.base == f'eca_resnet/{name}_4xb64_in1k.py'
    backbone = conversion.changes.get('model', {}).get('backbone', {})
    assert backbone.get('kernel_size') == written


def test_classes_are_read():
    conversion = from_ecanet(resnet(18, (3, 5, 7, 7), classes=12))
    assert conversion.base == 'eca_resnet/eca-resnet18-k3577_4xb64_in1k.py'
    assert conversion.changes['model'] == dict(head=dict(num_classes=12))
    assert model_of(conversion).head.fc.out_features == 12


@pytest.mark.parametrize(('first_wide', 'written'), [
    (96, None), (97, (1, 1, 1, 1, 1, 3, 3))])
def test_mobilenet_v2(first_wide, written):
    weights = mobilenet_v2(first_wide)
    conversion = from_ecanet(published(weights, 'eca_mobilenet_v2'))
    assert ('k13' in conversion.base) == (written is None)
    backbone = conversion.changes.get('model', {}).get('backbone', {})
    assert backbone.get('kernel_size') == written
    block = model_of(conversion).backbone.layer5[0]
    source = 'features.11.conv'
    x = torch.randn(1, 64, 8, 8)

    def bn(name, x):
        return F.batch_norm(x, *(weights[f'{source}.{name}.{key}'] for key in (
            'running_mean', 'running_var', 'weight', 'bias')))

    hidden = bn('0.1', F.conv2d(x, weights[f'{source}.0.0.weight'])).clamp(0, 6)
    hidden = bn('1.1', F.conv2d(hidden, weights[f'{source}.1.0.weight'], padding=1,
                                groups=384)).clamp(0, 6)
    out = bn('3', F.conv2d(hidden, weights[f'{source}.2.weight']))
    eca = weights[f'{source}.4.conv.weight']
    gate = F.conv1d(out.mean((2, 3))[:, None], eca, padding=eca.shape[-1] // 2).sigmoid()
    with torch.no_grad():
        torch.testing.assert_close(block(x), out * gate[:, 0, :, None, None])


@pytest.mark.parametrize(('change', 'message'), [
    (lambda w: [w.pop(name) for name in list(w) if '.eca.' in name], 'has no ECA layers'),
    (lambda w: w.pop('layer2.0.eca.conv.weight'), 'not that of the network'),
    (lambda w: w.update({'layer3.0.bn1.weight': torch.ones(7)}), 'have another shape'),
])
def test_other_files_are_refused(change, message):
    weights = resnet(18, (3, 5, 7, 7))
    change(weights)
    with pytest.raises(UserError, match=message):
        from_ecanet(weights)
