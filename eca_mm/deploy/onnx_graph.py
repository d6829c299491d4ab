"""What quantisation has to know of an ONNX graph."""
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

_MEANS = ('ReduceMean', 'GlobalAveragePool')


class Graph:
    """An ONNX graph with its constants and with the readers of every value.

    Args:
        model (onnx.ModelProto): The model, which methods change in place.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.proto = model.graph
        self.constants = {value.name: value for value in self.proto.initializer}
        self.readers: dict[str, list[Any]] = defaultdict(list)
        for node in self.proto.node:
            for name in node.input:
                self.readers[name].append(node)

    def array(self, name: str) -> np.ndarray:
        """A constant's values."""
        from onnx import numpy_helper
        return numpy_helper.to_array(self.constants[name])

    def set_array(self, name: str, values: np.ndarray) -> None:
        """Replace a constant's values."""
        from onnx import numpy_helper
        self.constants[name].CopyFrom(numpy_helper.from_array(values.astype(np.float32), name))

    def groups(self, node: Any) -> int:
        """Groups of a convolution."""
        return next((each.i for each in node.attribute if each.name == 'group'), 1)

    def is_depthwise(self, node: Any) -> bool:
        """Whether it is a convolution that computes each channel from one."""
        return self.has_own_weight(node) and self.constants[node.input[1]].dims[1] == 1

    def has_own_weight(self, node: Any) -> bool:
        """Whether it is a convolution of maps whose constants nobody else reads."""
        return (node.op_type == 'Conv' and all(
            name in self.constants and len(self.readers[name]) == 1 for name in node.input[1:])
            and len(self.constants[node.input[1]].dims) == 4)

    def is_clip(self, node: Any) -> bool:
        """Whether a node clips a map between zero and a constant, as ReLU6 does."""
        return (node.op_type == 'Clip' and len(node.input) == 3
                and all(name in self.constants for name in node.input[1:])
                and float(self.array(node.input[1])) == 0 < float(self.array(node.input[2])))

    def upper_bound(self, name: str) -> float:
        """Where a map is clipped, infinity if it is not."""
        return min((float(self.array(node.input[2])) for node in self.proto.node
                    if name in node.output and self.is_clip(node)), default=np.inf)

    def is_spatial_mean(self, node: Any) -> bool:
        """Whether a node takes the mean of each channel of a map."""
        if node.op_type != 'ReduceMean':
            return node.op_type == 'GlobalAveragePool'
        axes = next((list(each.ints) for each in node.attribute if each.name == 'axes'), None)
        if axes is None and len(node.input) > 1 and node.input[1] in self.constants:
            axes = self.array(node.input[1]).tolist()
        return axes is not None and sorted(axis % 4 for axis in axes) == [2, 3]

    def gate_nodes(self) -> list[Any]:
        """The nodes from the means of a map to its rescaling, that one excluded."""
        found: dict[str, Any] = {}
        for pooling in self.proto.node:
            if pooling.op_type not in _MEANS:
                continue
            passed, inside, rescales = {pooling.name: pooling}, set(pooling.output), False
            # They are in order: a node comes after what it reads.
            for node in self.proto.node:
                if not inside & set(node.input):
                    continue
                if node.op_type == 'Mul' and not set(node.input) - set(self.constants) <= inside:
                    rescales = True
                else:
                    passed[node.name] = node
                    inside |= set(node.output)
            # Otherwise it is the classifier's own pooling.
            found |= passed if rescales else {}
        return list(found.values())

    def gate_tensors(self) -> set[str]:
        """What these nodes compute."""
        return {name for node in self.gate_nodes() for name in node.output}

    def is_rescaling(self, node: Any, gates: set[str]) -> bool:
        """Whether a node multiplies a map by an attention's gate."""
        return node.op_type == 'Mul' and len(set(node.input) & gates) == 1 and not (
            set(node.input) & set(self.constants))

    def multiply_output(self, node: Any, factors: np.ndarray) -> None:
        """Put a product with a constant per channel behind the means of a map.

        Args:
            node (onnx.NodeProto): What takes the means.
            factors (np.ndarray): Factors of shape (C, ).
        """
        import onnx
        keeps = node.op_type == 'GlobalAveragePool' or next(
            (each.i for each in node.attribute if each.name == 'keepdims'), 1)
        name, before = node.output[0], f'{node.output[0]}/equalised'
        shape = (1, -1, 1, 1) if keeps else (1, -1)
        constant = onnx.numpy_helper.from_array(factors.reshape(shape), f'{name}/factors')
        self.proto.initializer.append(constant)
        node.output[0] = before
        product = onnx.helper.make_node('Mul', [before, constant.name], [name], f'{name}/product')
        self.proto.node.insert(list(self.proto.node).index(node) + 1, product)

    def channel_ranges(self, names: Iterable[str], images: Sequence[Tensor]
                       ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Extremes of the channels of maps.

        Args:
            names (Iterable[str]): The maps.
            images (Sequence[Tensor]): Images of shape (1, C, H, W).

        Returns:
            dict[str, tuple[np.ndarray, np.ndarray]]: Least and largest values, each of shape (C, ).
        """
        import onnx
        import onnxruntime
        probe = onnx.ModelProto()
        probe.CopyFrom(self.model)
        del probe.graph.output[:]
        outputs = []
        for name in names:
            low, high, negative = (f'{name}/{part}' for part in ('low', 'high', 'negative'))
            probe.graph.node.extend([
                onnx.helper.make_node('GlobalMaxPool', [name], [high]),
                onnx.helper.make_node('Neg', [name], [negative]),
                onnx.helper.make_node('GlobalMaxPool', [negative], [low])])
            outputs += [low, high]
        probe.graph.output.extend(onnx.helper.make_tensor_value_info(
            name, onnx.TensorProto.FLOAT, None) for name in outputs)
        session = onnxruntime.InferenceSession(
            probe.SerializeToString(), providers=['CPUExecutionProvider'])
        found: list[np.ndarray] = []
        for image in images:
            values = [value.max(0).ravel() for value in session.run(
                outputs, {'images': image.numpy()})]
            found = values if not found else list(map(np.maximum, found, values))
        pairs = zip(outputs[::2], found[::2], found[1::2], strict=True)
        return {name.removesuffix('/low'): (-low, high) for name, low, high in pairs}
