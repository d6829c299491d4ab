"""Biases that make up for rounded weights."""
import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn.functional import conv2d

from eca_mm.deploy.bias_correction import correct_biases

SCALE, BIAS_SCALE = .5, 1e-4


def dequantised(values, scale, name):
    """A constant in integers: its initialisers and the node that reads them."""
    return ([numpy_helper.from_array(values, f'{name}_q'),
             numpy_helper.from_array(np.full(len(values), scale, np.float32), f'{name}_scale')],
            helper.make_node('DequantizeLinear', [f'{name}_q', f'{name}_scale'], [name], axis=0))


def model(weight, bias, integers):
    """One convolution with padding, with its parameters in single precision or in integers."""
    if integers:
        parts = [dequantised(np.rint(weight / SCALE).astype(np.int8), SCALE, 'weight'),
                 dequantised(np.rint(bias / BIAS_SCALE).astype(np.int32), BIAS_SCALE, 'bias')]
        constants, nodes = [init for inits, _ in parts for init in inits], [n for _, n in parts]
    else:
        constants, nodes = [numpy_helper.from_array(weight, 'weight'),
                            numpy_helper.from_array(bias, 'bias')], []
    nodes.append(helper.make_node('Conv', ['images', 'weight', 'bias'], ['maps'], name='conv',
                                  pads=[1, 1, 1, 1], group=2))
    maps = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            for name in ('images', 'maps')]
    return helper.make_model(helper.make_graph(nodes, 'g', maps[:1], maps[1:], constants),
                             opset_imports=[helper.make_opsetid('', 17)], ir_version=8)


def run(built, image):
    session = onnxruntime.InferenceSession(built.SerializeToString())
    return session.run(None, {'images': image.numpy()})[0]


def test_means_of_all_channels_are_those_of_the_exact_weights():
    generator = torch.Generator().manual_seed(0)
    weight, bias = (torch.randn(size, generator=generator) for size in ((6, 2, 3, 3), (6,)))
    images = [torch.rand(1, 4, 7, 9, generator=generator) + 1 for _ in range(3)]
    exact, rounded = (model(weight.numpy(), bias.numpy(), integers) for integers in (False, True))

    def shift():
        return np.mean([run(rounded, image) - run(exact, image) for image in images], (0, 1, 3, 4))

    assert np.abs(shift()).max() > .1
    assert correct_biases(exact, rounded, images) == 1
    assert np.abs(shift()).max() < BIAS_SCALE
    # Nothing but the bias is another.
    difference = conv2d(images[0], torch.round(weight / SCALE) * SCALE, None, 1, 1, 1, 2)
    difference = run(rounded, images[0]) - difference.numpy()
    assert np.ptp(difference, (0, 2, 3)).max() < 1e-4


def test_layers_without_bias_or_in_single_precision_are_left():
    weight, bias = np.ones((4, 1, 1, 1), np.float32), np.ones(4, np.float32)
    exact = model(weight, bias, False)
    for integers in (False, True):
        other = model(weight, bias, integers)
        if integers:
            del other.graph.node[-1].input[2]
        before = other.SerializeToString()
        assert correct_biases(exact, other, [torch.ones(1, 2, 3, 3)]) == 0
        assert other.SerializeToString() == before
