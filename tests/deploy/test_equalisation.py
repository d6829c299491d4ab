"""Networks whose channels are brought to similar ranges compute what they did."""
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from eca_mm.deploy.equalisation import equalise
from eca_mm.deploy.onnx_graph import Graph
from tests.support.onnx_models import small_classifier


def uneven(*shape, axis=0, seed=0):
    """Random weights whose rows or columns differ a hundredfold."""
    rng = np.random.default_rng(seed)
    scales = np.logspace(-1, 1, shape[axis])
    return rng.normal(0, .3, shape) * scales.reshape(-1, *[1] * (len(shape) - axis - 1))


def inverted_residual(path):
    """Two convolutions with ReLU6, one of them depthwise, a shortcut, a classifier."""
    values = dict(
        stem=uneven(8, 3, 1, 1), expand=uneven(16, 8, 1, 1), depthwise=uneven(16, 1, 3, 3) / 8,
        project=uneven(8, 16, 1, 1, seed=1), last=uneven(4, 4, 3, 3, axis=1, seed=2),
        head=uneven(5, 4, seed=3), bias16=np.linspace(-.5, .5, 16),
        bias16b=np.linspace(.5, -.5, 16), low=np.array(0), high=np.array(6))
    values = {name: value.astype(np.float32) for name, value in values.items()}
    values['maps'] = np.array([2, 3])
    nodes = [
        ('Conv', 'images stem', 'x', {}), ('Conv', 'x expand bias16', 'a', {}),
        ('Clip', 'a low high', 'b', {}),
        ('Conv', 'b depthwise bias16b', 'c', dict(group=16, pads=[1, 1, 1, 1])),
        ('Clip', 'c low high', 'd', {}), ('Conv', 'd project', 'e', {}), ('Add', 'e x', 'f', {}),
        ('Conv', 'f last', 'g', dict(group=2)), ('ReduceMean', 'g maps', 'p', dict(keepdims=0)),
        ('Gemm', 'p head', 'logits', dict(transB=1))]
    save(path, nodes, values)


def attention(path):
    """A shortcut whose channels are uneven, joined by what an attention has rescaled."""
    small_classifier(path)
    model = onnx.load(path)
    graph, scales = Graph(model), np.logspace(-1, 1, 16)
    graph.set_array('weight', graph.array('weight') * scales.reshape(-1, 1, 1, 1))
    graph.set_array('bias', graph.array('bias') * scales)
    onnx.save(model, path)


def save(path, nodes, values, shape=('n', 5)):
    graph = helper.make_graph(
        [helper.make_node(kind, inputs.split(), [output], name=output, **attributes)
         for kind, inputs, output, attributes in nodes], 'g',
        [helper.make_tensor_value_info('images', TensorProto.FLOAT, ['n', 3, 'h', 'w'])],
        [helper.make_tensor_value_info('logits', TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in values.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=8),
              path)


def run(model, images):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return np.concatenate([session.run(None, {'images': image.numpy()})[0] for image in images])


def unevenness(model, name, images):
    low, high = Graph(model).channel_ranges([name], images)[name]
    extent = np.maximum(-low, high)
    return extent.max() / np.median(extent)


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(1, 3, 9, 9, generator=generator) * 2 for _ in range(8)]


@pytest.mark.parametrize(('build', 'sets', 'names'), [
    (inverted_residual, 3, ('x', 'f', 'b')), (attention, 1, ('x', 'b', 'o'))])
def test_outputs_are_the_same_and_ranges_more_even(build, sets, names, images, tmp_path):
    build(tmp_path / 'a.onnx')
    before, after = (onnx.load(tmp_path / 'a.onnx') for _ in range(2))
    assert equalise(after, images[:4]) == sets
    onnx.checker.check_model(after)
    # The other four are not what the ranges come from.
    expected = run(before, images)
    np.testing.assert_allclose(run(after, images), expected, 0, 1e-5 * np.abs(expected).max())
    for name in names:
        assert unevenness(after, name, images) < unevenness(before, name, images) * .9


def test_what_may_not_be_rescaled_is_left(images, tmp_path):
    rng = np.random.default_rng(0)
    values = {name: rng.normal(0, .3, (3, 3, 1, 1)).astype(np.float32) for name in 'ab'}
    values['one'] = np.ones(1, np.float32)
    # One weight is read twice, and a sigmoid is not homogeneous.
    save(tmp_path / 'a.onnx', [
        ('Conv', 'images a', 'x', {}), ('Conv', 'x a', 'y', {}), ('Sigmoid', 'y', 'z', {}),
        ('Conv', 'z b', 'u', {}), ('Add', 'u one', 'logits', {})], values, ('n', 3, 'h', 'w'))
    model = onnx.load(tmp_path / 'a.onnx')
    before = model.SerializeToString()
    assert equalise(model, images) == 0 and model.SerializeToString() == before
