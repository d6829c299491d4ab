"""Keep those maps of a quantised classifier in single precision whose rounding costs the most."""
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from .onnx_graph import Graph

_ACTIVATIONS = ('Relu', 'Clip')


class RoundedMap(NamedTuple):
    """Where a quantised model rounds a map.

    Attributes:
        name (str): The map.
        quantize (onnx.NodeProto): What makes integers of it.
        dequantize (onnx.NodeProto): What makes floating-point numbers of these again.
        readers (tuple[str, ...]): Names of the nodes that read the result.
    """

    name: str
    quantize: Any
    dequantize: Any
    readers: tuple[str, ...]


def rounded_maps(quantised: Any) -> list[RoundedMap]:
    """Find where a model rounds its maps.

    Args:
        quantised (onnx.ModelProto): A model with pairs of QuantizeLinear and DequantizeLinear.

    Returns:
        list[RoundedMap]: One for each pair.
    """
    graph = Graph(quantised)
    made_by = {node.output[0]: node for node in quantised.graph.node
               if node.op_type == 'QuantizeLinear'}
    return [RoundedMap(made_by[node.input[0]].input[0], made_by[node.input[0]], node,
                       tuple(reader.name for reader in graph.readers[node.output[0]]))
            for node in quantised.graph.node
            if node.op_type == 'DequantizeLinear' and node.input[0] in made_by]


def before_activations(quantised: Any) -> set[str]:
    """Maps that are rounded although only a ReLU or a clip reads them, whose output is rounded."""
    kinds = {node.name: node.op_type for node in quantised.graph.node}
    return {each.name for each in rounded_maps(quantised)
            if each.readers and all(kinds[name] in _ACTIVATIONS for name in each.readers)}


def rounding_errors(source: Any, quantised: Any, images: Sequence[Tensor]) -> dict[str, float]:
    """Measure what rounding each map alone, with the weights of what makes it, does to the logits.

    Args:
        source (onnx.ModelProto): The model in single precision.
        quantised (onnx.ModelProto): The same with rounded maps. The nodes must have the names of
            the source's.
        images (Sequence[Tensor]): Images of shape (1, C, H, W).

    Returns:
        dict[str, float]: By map the difference of the logits in the 2-norm, relative to theirs.
        What all classes have in common does not count.
    """
    constants = Graph(quantised).constants
    makers = {name: node for node in quantised.graph.node for name in node.output}
    exact = _logits(source, images)
    errors = {}
    for each in rounded_maps(quantised):
        probe = type(source)()
        probe.CopyFrom(source)
        for node in probe.graph.node:
            if node.name in each.readers:
                node.input[:] = [each.dequantize.output[0] if name == each.name else name
                                 for name in node.input]
        pair, layer = [each.quantize, each.dequantize], _layer(makers, each.name)
        # Right behind what makes the map, since nodes have to be in order.
        place = 1 + max((i for i, node in enumerate(probe.graph.node)
                         if each.name in node.output), default=-1)
        for node in reversed(pair):
            probe.graph.node.insert(place, node)
        weights = [] if layer is None else [
            makers[name] for name in layer.input[1:] if name in makers]
        for node in weights:
            copied = type(node)()
            copied.CopyFrom(node)
            # A rounded bias has the name of the exact one.
            copied.output[0] = f'{node.output[0]}/rounded'
            probe.graph.node.insert(0, copied)
        for node in probe.graph.node:
            if weights and node.name == layer.name:
                node.input[1:] = [f'{name}/rounded' if name in makers else name
                                  for name in layer.input[1:]]
        probe.graph.initializer.extend(constants[name] for name in {
            name for node in [*pair, *weights] for name in node.input if name in constants})
        # The runtime warns about the exact weights.
        _remove_unused(probe)
        difference = _logits(probe, images) - exact
        errors[each.name] = float(np.linalg.norm(difference) / max(np.linalg.norm(exact), 1e-30))
    return errors


def _layer(makers: dict[str, Any], name: str) -> Any:
    """The convolution that makes a map, None if something else does."""
    node = makers.get(name)
    if node is not None and node.op_type in _ACTIVATIONS:
        node = makers.get(node.input[0])
    return node if node is not None and node.op_type == 'Conv' else None


def worst_maps(errors: dict[str, float], limit: float) -> list[str]:
    """Choose maps to leave as they are.

    Args:
        errors (dict[str, float]): What rounding each alone does, see :func:`rounding_errors`.
        limit (float): How much all others may do together. Their errors are taken for independent,
            so that their squares add up.

    Returns:
        list[str]: As few maps as possible, the worst first.
    """
    ranked = sorted(errors, key=lambda name: -errors[name])
    squares = np.array([errors[name] for name in ranked]) ** 2
    left = squares[::-1].cumsum()[::-1]
    return ranked[:int((left > limit ** 2).sum())]


def keep_in_float(source: Any, quantised: Any, names: Collection[str]) -> None:
    """Round maps no longer, nor the weights of layers that then compute in single precision anyway.

    Args:
        source (onnx.ModelProto): The model in single precision.
        quantised (onnx.ModelProto): The same with rounded maps, changed in place.
        names (Collection[str]): The maps.
    """
    exact = {each.dequantize.output[0]: each.name for each in rounded_maps(quantised)
             if each.name in names}
    for node in quantised.graph.node:
        node.input[:] = [exact.get(name, name) for name in node.input]
    _remove_unused(quantised)
    originals = {node.name: node for node in source.graph.node}
    weights = {value.name: value for value in source.graph.initializer}
    graph = Graph(quantised)
    rounded = {each.dequantize.output[0] for each in rounded_maps(quantised)}
    for node in quantised.graph.node:
        if node.op_type not in ('Conv', 'Gemm') or node.name not in originals or (
                node.input[0] in rounded and _is_rounded(graph, node)):
            continue
        for i, name in enumerate(originals[node.name].input):
            if i and name in weights and node.input[i] not in graph.constants:
                # Rounded biases are called what the exact ones were.
                node.input[i] = f'{name}/exact'
                if node.input[i] not in graph.constants:
                    value = quantised.graph.initializer.add()
                    value.CopyFrom(weights[name])
                    value.name = node.input[i]
                    graph.constants[value.name] = value
    _remove_unused(quantised)


def drop_implied_activations(quantised: Any) -> None:
    """Remove each ReLU and clip between a convolution and its rounding, whose range does the same.

    ONNX Runtime computes a convolution in integers only if its output is rounded at once.

    Args:
        quantised (onnx.ModelProto): A model whose ranges are those of the rounded maps, changed in
            place.
    """
    graph = Graph(quantised)
    made_by = {name: node for node in quantised.graph.node for name in node.output}
    for node in quantised.graph.node:
        readers = graph.readers[node.output[0]]
        if node.op_type in _ACTIVATIONS and readers and len(graph.readers[node.input[0]]) == 1 and (
                made_by[node.input[0]].op_type == 'Conv'
                and all(each.op_type == 'QuantizeLinear' for each in readers)):
            for each in readers:
                each.input[0] = node.input[0]
    _remove_unused(quantised)


def _is_rounded(graph: Graph, node: Any) -> bool:
    """Whether a layer can compute in integers as far as its output is concerned."""
    if node.op_type == 'Gemm':
        return True
    readers = graph.readers[node.output[0]]
    if len(readers) == 1 and readers[0].op_type in _ACTIVATIONS:
        readers = graph.readers[readers[0].output[0]]
    return bool(readers) and all(each.op_type == 'QuantizeLinear' for each in readers)


def _remove_unused(model: Any) -> None:
    """Remove the nodes and constants that nobody reads."""
    outputs = {value.name for value in model.graph.output}
    while True:
        read = outputs | {name for node in model.graph.node for name in node.input}
        unused = [node for node in model.graph.node if not read & set(node.output)]
        if not unused:
            break
        for node in unused:
            model.graph.node.remove(node)
    kept = [value for value in model.graph.initializer if value.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def _logits(model: Any, images: Sequence[Tensor]) -> np.ndarray:
    """Logits of shape (images, classes), each image's mean taken out."""
    import onnxruntime
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=['CPUExecutionProvider'])
    logits = np.concatenate([
        session.run(None, {'images': image.numpy()})[0] for image in images]).astype(np.float64)
    return logits - logits.mean(1, keepdims=True)
