"""Take the mean error of quantised weights out of the biases.

Rounding a layer's weights shifts the mean of its output, channel by channel. "Data-Free
Quantization Through Weight Equalization and Bias Correction" (Nagel et al., ICCV 2019, Section 4.2)
subtracts that shift from the bias; here it is measured on images.
"""
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

_LAYERS = {'Conv': 'GlobalAveragePool', 'Gemm': 'Identity'}


def correct_biases(source: Any, quantised: Any, images: Sequence[Tensor]) -> int:
    """Subtract from the biases what the rounded weights add to the mean of every channel.

    Args:
        source (onnx.ModelProto): The model in single precision.
        quantised (onnx.ModelProto): The same with integers in its convolutions and linear layers,
            changed in place. The nodes must have the names of the source's.
        images (Sequence[Tensor]): Images of shape (1, C, H, W), on which the means are taken.

    Returns:
        int: The number of layers that were corrected. A layer without a bias is left as it is.
    """
    layers = _quantised_layers(quantised)
    errors = {node.name: layers[node.name].rounded() - value for node, value in _weights(source)
              if node.name in layers}
    if not errors:
        return 0
    for name, shift in _mean_outputs(source, errors, images).items():
        layers[name].subtract(shift)
    return len(errors)


class _Integers:
    """Weight and bias of a layer in a quantised model.

    Args:
        weight (tuple[TensorProto, TensorProto]): Integers and scales.
        bias (tuple[TensorProto, TensorProto]): Integers and scales.
        axis (int): The weight's axis of output channels.
    """

    def __init__(self, weight: tuple[Any, Any], bias: tuple[Any, Any], axis: int) -> None:
        self._weight, self._bias, self._axis = weight, bias, axis

    def rounded(self) -> np.ndarray:
        """What the integers stand for, in the shape of the weight."""
        from onnx import numpy_helper
        values, scale = map(numpy_helper.to_array, self._weight)
        shape = [1] * values.ndim
        shape[self._axis] = -1
        return values.astype(np.float32) * scale.reshape(shape if scale.size > 1 else ())

    def subtract(self, shift: np.ndarray) -> None:
        """Change the bias.

        Args:
            shift (np.ndarray): What to subtract, of shape (C, ).
        """
        from onnx import numpy_helper
        values, scale = map(numpy_helper.to_array, self._bias)
        limits = np.iinfo(values.dtype)
        new = np.clip(values - np.rint(shift / scale.astype(np.float64)), limits.min, limits.max)
        self._bias[0].CopyFrom(numpy_helper.from_array(new.astype(values.dtype),
                                                       self._bias[0].name))


def _weights(model: Any) -> list[tuple[Any, np.ndarray]]:
    """Layers whose weights are constants, and these."""
    from onnx import numpy_helper
    constants = {value.name: value for value in model.graph.initializer}
    return [(node, numpy_helper.to_array(constants[node.input[1]])) for node in model.graph.node
            if node.op_type in _LAYERS and node.input[1] in constants]


def _quantised_layers(model: Any) -> dict[str, _Integers]:
    """Layers in integers that have a bias, by name."""
    constants = {value.name: value for value in model.graph.initializer}
    made_by = {node.output[0]: node for node in model.graph.node
               if node.op_type == 'DequantizeLinear' and node.input[0] in constants}
    found = {}
    for node in model.graph.node:
        if node.op_type in _LAYERS and len(node.input) == 3 and all(
                name in made_by for name in node.input[1:]):
            weight, bias = (made_by[name] for name in node.input[1:])
            axis = next((each.i for each in weight.attribute if each.name == 'axis'), 1)
            values, scales = ([constants[each.input[i]] for each in (weight, bias)]
                              for i in range(2))
            found[node.name] = _Integers((values[0], scales[0]), (values[1], scales[1]), axis)
    return found


def _mean_outputs(model: Any, weights: dict[str, np.ndarray], images: Sequence[Tensor]
                  ) -> dict[str, np.ndarray]:
    """Means per channel of what layers with other weights and no bias would give for their input.

    Args:
        model (onnx.ModelProto): The model that gives the inputs.
        weights (dict[str, np.ndarray]): The weights, by the names of the layers.
        images (Sequence[Tensor]): Images of shape (1, C, H, W).

    Returns:
        dict[str, np.ndarray]: Per layer an array of shape (C, ).
    """
    import onnx
    import onnxruntime
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    for node in model.graph.node:
        if node.name not in weights:
            continue
        value, output, mean = (f'{node.name}/{part}' for part in ('error', 'output', 'mean'))
        layer = onnx.helper.make_node(node.op_type, [node.input[0], value], [output])
        layer.attribute.extend(node.attribute)
        probe.graph.initializer.append(onnx.numpy_helper.from_array(weights[node.name], value))
        probe.graph.node.extend([
            layer, onnx.helper.make_node(_LAYERS[node.op_type], [output], [mean])])
        probe.graph.output.append(
            onnx.helper.make_tensor_value_info(mean, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(
        probe.SerializeToString(), providers=['CPUExecutionProvider'])
    names = [output.name for output in probe.graph.output]
    means = [[value.mean(0, dtype=np.float64).ravel()
              for value in session.run(names, {'images': image.numpy()})] for image in images]
    return {name.removesuffix('/mean'): np.mean(values, 0)
            for name, values in zip(names, zip(*means, strict=True), strict=True)}
