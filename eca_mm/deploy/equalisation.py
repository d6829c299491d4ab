"""Bring the channels of a network's maps to similar ranges without changing what it computes.

8-bit integers give a map one scale, so that channels with small values keep few of their bits.
Where only operations follow that commute with positive factors per channel, a convolution's output
channels are divided by factors and the columns of the next ones multiplied by them: cross-layer
equalisation, "Data-Free Quantization Through Weight Equalization and Bias Correction" (Nagel et
al., ICCV 2019, Section 4.1). Here the factors come from the ranges on images, since weights have
one scale per output channel, and all maps of a residual stream share theirs.
"""
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from .onnx_graph import Graph

# Output channels are those of the input, and factors pass through.
_PASSING = ('Relu', 'MaxPool', 'AveragePool', 'Identity')
# Values up to so many times the largest one on the images are not clipped.
_HEADROOM = 1.5
# Factors of channels that hardly ever differ from zero are not larger.
_SMALLEST = 1 / 64


def equalise(model: Any, images: Sequence[Tensor]) -> int:
    """Rescale the channels of the maps wherever that changes nothing.

    Attentions and classifiers get the means of the original maps, by one product with a constant.
    Maps clipped from above, by ReLU6, are rescaled where a depthwise convolution reads them; their
    channels stay the same up to 1.5 times the largest value that they take on the images.

    Args:
        model (onnx.ModelProto): A classifier, changed in place.
        images (Sequence[Tensor]): Images of shape (1, C, H, W) on which the ranges are taken.

    Returns:
        int: The number of sets of maps that were rescaled together.
    """
    graph = Graph(model)
    groups = _groups(graph)
    if not groups:
        return 0
    ranges = graph.channel_ranges(sorted(name for group in groups for name in group), images)
    done = 0
    for group in groups:
        extents = {name: np.maximum(-ranges[name][0], ranges[name][1]) for name in sorted(group)}
        # Otherwise something is broadcast along the channels.
        if len({extent.size for extent in extents.values()}) == 1:
            _rescale(graph, group, _factors(graph, extents))
            done += 1
    return done


def _factors(graph: Graph, extents: dict[str, np.ndarray]) -> np.ndarray:
    """What to divide the channels of maps by, given their largest magnitudes, of shape (C, )."""
    bounds = {name: graph.upper_bound(name) for name in extents}
    bound = min(bounds.values())
    if np.isfinite(bound):
        # Nothing is clipped that was not, and what reaches the bound keeps it.
        largest = np.max([extents[name] for name in extents if np.isfinite(bounds[name])], 0)
        shares = np.where(largest < .99 * bound, largest * _HEADROOM / bound, 1)
        factors = np.clip(shares, _SMALLEST, 1)
    else:
        relative = [np.maximum(extent / max(extent.max(), 1e-30), _SMALLEST)
                    for extent in extents.values()]
        # The root: bits are shared between the maps and the weights that read them.
        factors = np.exp(np.mean(np.log(relative), 0) / 2)
    return factors.astype(np.float32)


def _groups(graph: Graph) -> list[set[str]]:
    """Sets of maps that have to be rescaled together, and can be."""
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        while parents.setdefault(name, name) != name:
            name = parents[name]
        return name

    fixed = {value.name for value in [*graph.proto.input, *graph.proto.output]}
    gates = graph.gate_tensors()
    scalable = set()
    for node in graph.proto.node:
        maps = [name for name in [*node.input, *node.output]
                if name and name not in graph.constants]
        if graph.has_own_weight(node):
            scalable |= {node.output[0]}
        elif node.op_type in ('ReduceMean', 'GlobalAveragePool'):
            if not graph.is_spatial_mean(node):
                fixed.update(maps)
        elif (node.op_type in _PASSING or graph.is_clip(node)
              or (node.op_type == 'Add' and len(maps) == 3)):
            for name in maps[1:]:
                parents[root(name)] = root(maps[0])
        elif graph.is_rescaling(node, gates):
            name, = set(node.input) - gates
            parents[root(name)] = root(node.output[0])
        else:
            fixed.update(maps)
    members = defaultdict(set)
    for name in list(parents) + sorted(scalable):
        members[root(name)].add(name)
    groups = [members[name] for name in sorted(members)
              if members[name] & scalable and not members[name] & fixed]
    # A clip costs other weights their bits, but not those of depthwise convolutions.
    return [group for group in groups if all(
        graph.is_depthwise(reader) for name in group if np.isfinite(graph.upper_bound(name))
        for reader in graph.readers[name])]


def _rescale(graph: Graph, group: set[str], factors: np.ndarray) -> None:
    """Divide the channels of maps by factors, and take that back behind them."""
    for node in list(graph.proto.node):
        if graph.has_own_weight(node):
            weight = graph.array(node.input[1])
            if node.output[0] in group:
                weight = weight / factors.reshape(-1, 1, 1, 1)
                if len(node.input) == 3:
                    graph.set_array(node.input[2], graph.array(node.input[2]) / factors)
            if node.input[0] in group:
                # Rows and columns of each group of the convolution.
                parts = graph.groups(node)
                columns = factors.reshape(parts, 1, -1, 1, 1)
                weight = (weight.reshape(parts, -1, *weight.shape[1:]) * columns
                          ).reshape(weight.shape)
            graph.set_array(node.input[1], weight)
        elif node.input and node.input[0] in group and node.op_type in (
                'ReduceMean', 'GlobalAveragePool'):
            graph.multiply_output(node, factors)
