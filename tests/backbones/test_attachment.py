"""A layer attached to an unaware module, through everything that rebuilds modules."""
import copy
import pickle
from types import FunctionType

import pytest
import torch
from mmcv.cnn import fuse_conv_bn
from mmengine.model import ExponentialMovingAverage, revert_sync_batchnorm
from torch import nn

from eca_mm.backbones.attachment import attach, attached_layer, original_class
from eca_mm.layers import ECALayer
from tests.support.backbones import randomize_norms


class Block(nn.Module):
    """A residual block that calls its normalisation by name, and one in a Sequential."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.bn = nn.BatchNorm2d(8)
        self.rest = nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.ReLU())

    def forward(self, x):
        x = self.bn(self.conv(x))
        return x + self.rest(x)


@pytest.fixture
def block():
    block = Block().eval()
    randomize_norms(block)
    for name, path in (('eca', 'bn'), ('eca_2', 'rest.1')):
        block.add_module(name, ECALayer(8, 3))
        attach(block, path, getattr(block, name))
    return block


@pytest.fixture
def x():
    return torch.randn(2, 3, 6, 5)


def expected(block, x):
    """The same, one after the other and by hand."""
    def norm(x, bn):
        return nn.functional.batch_norm(x, bn.running_mean, bn.running_var, bn.weight, bn.bias)

    x = block.eca(norm(block.conv(x), block.bn))
    return x + block.eca_2(norm(block.rest[0](x), block.rest[1])).relu()


def same(block, x, y, tolerance=1e-6):
    torch.testing.assert_close(block(x), y, rtol=tolerance, atol=tolerance)


def test_the_layer_is_called_and_owned_once(block, x):
    same(block, x, expected(block, x))
    keys = [key for key in block.state_dict() if 'eca' in key]
    assert keys == ['eca.conv.weight', 'eca_2.conv.weight']
    assert isinstance(block.bn, nn.BatchNorm2d) and repr(block.bn).startswith('BatchNorm2d(8')
    assert original_class(block.bn) is nn.BatchNorm2d and original_class(block) is Block
    assert attached_layer(block.bn) is block.eca and attached_layer(block.conv) is None


def test_before(x):
    block, layer = Block().eval(), ECALayer(3, 3)
    y = block(layer(x))
    attach(block, 'conv', layer, before=True)
    same(block, x, y)


@pytest.mark.parametrize('duplicate', [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))],
                         ids=['deepcopy', 'pickle'])
def test_copies_are_complete_and_independent(block, x, duplicate):
    y = block(x)
    other = duplicate(block)
    same(other, x, y)
    assert attached_layer(other.bn) is other.eca is not block.eca
    with torch.no_grad():
        other.eca.conv.weight.mul_(2)
        other.eca_2.conv.weight.mul_(2)
    same(block, x, y)
    assert not torch.allclose(other(x), y)


def test_normalisations_that_are_rebuilt_keep_the_layer(block, x):
    y = block(x)
    sync = nn.SyncBatchNorm.convert_sync_batchnorm(block)
    assert isinstance(sync.bn, nn.SyncBatchNorm) and attached_layer(sync.bn) is block.eca
    # PyTorch 2.1 leaves what it converts in training mode.
    plain = revert_sync_batchnorm(sync).eval()
    assert not isinstance(plain.bn, nn.SyncBatchNorm)
    same(plain, x, y)
    same(fuse_conv_bn(plain), x, y, 1e-5)


def test_rebuilt_normalisations_are_compiled_right(block, x):
    y = block(x)
    rebuilt = revert_sync_batchnorm(nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(block)))
    rebuilt.eval()
    torch._dynamo.reset()
    compiled = torch.compile(rebuilt, backend='eager', fullgraph=True)
    same(compiled, x, y)


class Indexing(nn.Sequential):
    """A Sequential that calls its children by their numbers."""

    def forward(self, x):
        return self[-1](self[1](self[0](x)))


def test_children_of_a_sequential_are_found_by_numbers(x):
    block = Indexing(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.ReLU()).eval()
    randomize_norms(block)
    attach(block, '1', ECALayer(8, 3))
    y = block(x)
    same(nn.Sequential(*block[:2], *block[2:]), x, y)
    rebuilt = revert_sync_batchnorm(nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(block)))
    rebuilt.eval()
    torch._dynamo.reset()
    same(torch.compile(rebuilt, backend='eager', fullgraph=True), x, y)
    same(rebuilt[0:3], x, y)


def test_children_are_read_by_functions(block):
    # PyTorch before 2.7 compiles and exports no other getter, such as a partial; 2.1 no closure.
    get = type(block).bn.fget
    assert isinstance(get, FunctionType) and get.__closure__ is get.__defaults__ is None


def test_trace_export_functional_call_and_averaging(block, x):
    y = block(x)
    same(torch.jit.trace(block, x), x, y)
    same(torch.export.export(block, (x,)).module(), x, y)
    torch.testing.assert_close(
        torch.func.functional_call(block, dict(block.named_parameters()), (x,)), y)
    average = ExponentialMovingAverage(block)
    average.update_parameters(block)
    same(average.module.eval(), x, y)


def test_a_normalisation_in_a_list_is_refused():
    model = nn.ModuleDict(dict(norms=nn.ModuleList([nn.BatchNorm2d(4)])))
    with pytest.raises(ValueError, match='norms.0 is a BatchNorm2d in a ModuleList'):
        attach(model, 'norms.0', ECALayer(4))
