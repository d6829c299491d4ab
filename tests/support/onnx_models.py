"""ONNX files that no model has to be exported for."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def small_classifier(path, classes=3):
    """A convolution with an attention and a shortcut, pooled and classified, as exporters write it.

    The classes are the channels of the picture that is brightest.
    """
    rng = np.random.default_rng(0)
    weight = rng.normal(0, .05, (16, 3, 1, 1))
    weight[range(16), np.arange(16) % 3] += .5
    head = rng.normal(0, .05, (classes, 16))
    head[np.arange(16) % 3, range(16)] += 1
    values = dict(weight=weight, bias=rng.normal(0, .1, 16), taps=rng.normal(0, 1, (1, 1, 3)),
                  weight2=rng.normal(0, .1, (16, 16, 1, 1)), head=head, shift=np.zeros(classes))
    values = {name: value.astype(np.float32) for name, value in values.items()}
    values.update(bias2=values['bias'], maps=np.array([2, 3]), channel=np.array([1]))
    nodes = [
        ('Conv', 'images weight bias', 'a', {}), ('Relu', 'a', 'x', {}),
        ('Conv', 'x weight2 bias2', 'z', {}), ('ReduceMean', 'z maps', 'y', dict(keepdims=0)),
        ('Unsqueeze', 'y channel', 'u', {}), ('Conv', 'u taps', 'c', dict(pads=[1, 1])),
        ('Squeeze', 'c channel', 's', {}), ('Sigmoid', 's', 'g', {}),
        ('Unsqueeze', 'g maps', 'gate', {}), ('Mul', 'z gate', 'm', {}), ('Add', 'm x', 'b', {}),
        ('Relu', 'b', 'o', {}), ('ReduceMean', 'o maps', 'p', dict(keepdims=0)),
        ('Gemm', 'p head shift', 'logits', dict(transB=1))]
    graph = helper.make_graph(
        [helper.make_node(kind, inputs.split(), [output], name=f'{kind}_{output}', **attributes)
         for kind, inputs, output, attributes in nodes], 'classifier',
        [helper.make_tensor_value_info('images', TensorProto.FLOAT, ['n', 3, 'h', 'w'])],
        [helper.make_tensor_value_info('logits', TensorProto.FLOAT, ['n', classes])],
        [numpy_helper.from_array(value, name) for name, value in values.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=8)
    helper.set_model_props(model, {'classes': '["red", "green", "blue"]'})
    onnx.save(model, path)
