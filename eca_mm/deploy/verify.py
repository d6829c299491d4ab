"""Whether an exported file computes what its model does."""
import importlib.util
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
# What can run ONNX files here.
RUNTIMES = ('onnxruntime', 'openvino')


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
            shapes: Iterable[tuple[int, ...]], runtime: str = 'onnxruntime'
            ) -> list[Difference]:
    """Run an exported file beside its model on random images.

    Args:
        model (TensorModel): What the file was made from, or the ordinary form of that.
        path (Path): The file.
        kind (str): Its format, a key of :data:`eca_mm.deploy.export.SUFFIXES`; all but ONNX files
            run in PyTorch.
        shapes (Iterable[tuple[int, ...]]): Shapes (N, C, H, W) of the images.
        runtime (str): What runs ONNX files, one of :data:`RUNTIMES`. Defaults to
            ``'onnxruntime'``.

    Returns:
        list[Difference]: One per shape. NaN or infinity on either side counts as infinitely far.

    Raises:
        UserError: If the file does not run with one of the shapes.
    """
    with warnings.catch_warnings():
        # torch.export.load warns about the memory of its own file.
        warnings.simplefilter('ignore')
        run = _runner(path, kind, runtime)
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


def _runner(path: Path, kind: str, runtime: str) -> Callable[[Tensor], list[Tensor]]:
    if kind == 'onnx':
        return onnx_runner(path, runtime=runtime)
    if kind == 'torch-export':
        program = torch.export.load(path)
        # Guards (since torch 2.9) hold max pooling to the parity of the traced size for no reason.
        guarded = 'check_guards' in inspect.signature(program.module).parameters
        module = program.module(check_guards=False) if guarded else program.module()
    else:
        module = torch.jit.load(str(path))
    return lambda images: list(module(images))


def onnx_runner(path: Path, threads: int = 0, runtime: str = 'onnxruntime'
                ) -> Callable[[Tensor], list[Tensor]]:
    """Load a file into a runtime, on the CPU.

    Args:
        path (Path): The file, whose input is called ``images``.
        threads (int): Number of threads, 0 for the runtime's own choice. Defaults to 0.
        runtime (str): One of :data:`RUNTIMES`. Defaults to ``'onnxruntime'``.

    Returns:
        Callable[[Tensor], list[Tensor]]: From images to all outputs.
    """
    if runtime == 'openvino':
        import openvino

        # By itself it computes in bf16 where the processor can.
        options = dict(INFERENCE_NUM_THREADS=threads, INFERENCE_PRECISION_HINT='f32')
        compiled = openvino.Core().compile_model(str(path), 'CPU', options)
        return lambda images: [torch.from_numpy(value.copy())
                               for value in compiled(images.numpy()).to_tuple()]
    import onnxruntime

    session_options = onnxruntime.SessionOptions()
    session_options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), session_options,
                                           providers=['CPUExecutionProvider'])
    return lambda images: [torch.from_numpy(value) for value in session.run(
        None, {'images': images.numpy()})]


def check_runtime(runtime: str) -> None:
    """Make sure that ONNX files can be run by a runtime here.

    Args:
        runtime (str): One of :data:`RUNTIMES`.

    Raises:
        UserError: Naming what has to be installed.
    """
    if importlib.util.find_spec(runtime) is None:
        raise UserError(f'{runtime} is not installed: run `pip install {runtime}`, or leave out '
                        '--runtime.')
