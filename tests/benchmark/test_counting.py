"""Operations and bytes, counted without an accelerator."""
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from eca_mm.benchmark.counting import (
    MetaAutocast,
    OperationCounter,
    count_backbone,
    measure_counts,
)
from eca_mm.benchmark.networks import WeightPool, build_entry, parse_entry
from eca_mm.benchmark.steps import Settings
from eca_mm.ops import accelerated_ops

# Older PyTorch runs some modules in other operators, too.
needs_custom_ops = pytest.mark.skipif(not accelerated_ops.HAS_CUSTOM_OPS,
                                      reason='the form for accelerators needs PyTorch 2.4')


def counts(name, training, **options):
    model = build_entry(parse_entry(name, training), WeightPool())
    counter = count_backbone(model, Settings(training, batch=64, **options))
    return counter.operations, round(counter.bytes / 1e9, 1)


def test_bytes_of_inputs_and_outputs():
    x = torch.empty(2, 3, 4, device='meta')
    with OperationCounter() as counter:
        (x + x.transpose(0, 1).transpose(0, 1)).view(6, 4).relu_()
    # Three maps of 96 bytes for the sum, two for the ReLU; views and memory are free.
    assert (counter.operations, counter.bytes) == (2, 5 * 96)
    assert counter.by_name['aten.add.Tensor'] == (1, 3 * 96)


@needs_custom_ops
@pytest.mark.parametrize('name, training, expected', [
    ('resnet50', True, (400, 50.2)), ('eca_resnet50_unfused', True, (592, 70.0)),
    ('resnet50_fused', False, (119, 15.2))])
def test_known_counts(name, training, expected):
    assert counts(name, training) == expected


@needs_custom_ops
def test_attention_moves_no_more_than_the_plain_network():
    """Counted in the form for accelerators, whose operators start one kernel each."""
    operations, moved = counts('eca_resnet50', True)
    assert operations <= 480 and moved <= 50.2
    operations, moved = counts('eca_resnet50_fused', False)
    assert operations <= 140 and moved <= 15.2


@needs_custom_ops
@pytest.mark.slow
def test_other_attentions_and_networks():
    operations, moved = counts('se_resnet50', True)
    assert operations <= 1.05 * 480 and moved <= 1.05 * 50.2
    assert counts('eca_mobilenet_v2', True)[1] <= counts('mobilenet_v2', True)[1]
    plain, ours = (counts(name, True, dtype='fp16') for name in ('resnet50', 'eca_resnet50'))
    assert ours[0] <= 480 / 400 * plain[0] and ours[1] <= plain[1]


def test_autocast_converts_a_weight_once():
    conv = nn.Conv2d(3, 3, 1, bias=False, device='meta')
    x = torch.empty(1, 3, 4, 4, device='meta')
    with OperationCounter() as counter, MetaAutocast(torch.float16):
        out = conv(conv(x))
        assert out.dtype is torch.float16
        assert F.batch_norm(out, None, None, training=True).dtype is torch.float16
    # The weight and the image; the first convolution's output is in fp16 already.
    assert counter.by_name['aten._to_copy.default'][0] == 2


def test_report():
    report = measure_counts(['resnet18'], Settings(batch=1, shape=(32, 32)))
    assert report.figures['resnet18'].keys() == {'operations', 'gigabytes'}
    assert report.markdown().startswith('|')
