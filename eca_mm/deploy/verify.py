"""Whether an exported file computes what its model does."""
import inspect
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eca_mm.utils.errors import UserError

from .export import TensorModel

# Twenty times what single precision makes of the deepest networks here.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Difference:
    """How far a file is from its model for one input.

    Attributes:
        shape (tuple[int, ...]): Shape (N, C, H, W) of the images.
        largest (float): Largest difference of any output value.
        relative (float): The same beside the largest value of that output.
    """

    shape: tuple[int, ...]
    largest: float
    relative: float


def shapes_to_try(shape: tuple[int, int], fixed_size: bool = False, channels: int = 3
                  ) -> list[tuple[int, ...]]:
    """Choose batches and sizes that show whether a file takes any.

    Args:
        shape (tuple[int, int]): Height and width that the file was traced with.
        fixed_size (bool): Whether it takes no other. Defaults to False.
        channels (int): Channels C of the input. Defaults to 3.

    Returns:
        list[tuple[int, ...]]: Shapes (N, C, H, W), odd ones among them.
    """
    height, width = shape
    sizes = [(1, height, width), (3, height, width)]
    if not fixed_size:
        sizes += [(2, height * 3 // 4 | 1, width), (1, height, width + 33)]
    return [(number, channels, *size) for number, *size in sizes]


def compare(model: TensorModel, path: Path, kind: str,
            shapes: Iterable[tuple[int, ...]]) -> list[Difference]:
    """Run an exported file beside its model on random images.

    Args:
        model (TensorModel): What the file was made from, or the ordinary form of that.
        path (Path): The file.
        kind (str): Its format, a key of :data:`eca_mm.deploy.export.SUFFIXES`; ONNX files run in
            ONNX Runtime, the others in PyTorch.
        shapes (Iterable[tuple[int, ...]]): Shapes (N, C, H, W) of the images.

    Returns:
        list[Difference]: One per shape. NaN or infinity on either side counts as infinitely far.

    Raises:
        UserError: If the file does not run with one of the shapes.
    """
    with warnings.catch_warnings():
        # torch.export.load warns about the memory of its own file.
        warnings.simplefilter('ignore')
        run = _runner(path, kind)
    generator = torch.Generator().manual_seed(0)
    differences = []
    for shape in shapes:
        images = torch.randn(shape, generator=generator)
        with torch.no_grad():
            expected = model(images)
            try:
                found = run(images)
            except Exception as error:  # each runtime raises its own types
                reason = str(error).strip().partition('\n')[0]
                raise UserError(
                    f'The exported file does not take images of shape {shape} ({reason}); trace it '
                    'with larger ones (--shape), or export for one size (--fixed-size).') from error
        differences.append(_difference(shape, expected, found))
    return differences


def _difference(shape: tuple[int, ...], expected: Any, found: Any) -> Difference:
    if [value.shape for value in expected] != [value.shape for value in found]:
        return Difference(shape, float('inf'), float('inf'))
    pairs = list(zip(expected, found, strict=True))
    if not all(value.isfinite().all() for pair in pairs for value in pair):
        # NaN and infinity compare as small as one likes: inf / inf, max([0, nan]).
        return Difference(shape, float('inf'), float('inf'))
    largest = [float((a - b).abs().max()) for a, b in pairs]
    return Difference(shape, max(largest), max(
        value / max(float(a.abs().max()), 1e-12)
        for value, (a, _) in zip(largest, pairs, strict=True)))


def _runner(path: Path, kind: str) -> Callable[[Tensor], list[Tensor]]:
    if kind == 'onnx':
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
        return lambda images: [torch.from_numpy(value) for value in session.run(
            None, {'images': images.numpy()})]
    if kind == 'torch-export':
        program = torch.export.load(path)
        # Guards (since torch 2.9) hold max pooling to the parity of the traced size for no reason.
        guarded = 'check_guards' in inspect.signature(program.module).parameters
        module = program.module(check_guards=False) if guarded else program.module()
    else:
        module = torch.jit.load(str(path))
    return lambda images: list(module(images))
