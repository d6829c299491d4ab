"""Classifiers in 8-bit integers, by ONNX Runtime's static quantisation."""
import importlib.util
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import MODELS
from torch import Tensor

from eca_mm.engine.data_loaders import from_files
from eca_mm.utils.errors import UserError

from .bias_correction import correct_biases
from .verify import onnx_runner

# What ONNX Runtime computes in integers; the gate itself is too small to be worth it.
_OPERATIONS = ['Conv', 'Gemm', 'MatMul', 'Add', 'Mul', 'MaxPool', 'Relu', 'Clip']


@dataclass(frozen=True)
class Comparison:
    """A quantised classifier beside the one that it was made from.

    Attributes:
        images (int): Number of images.
        agreeing (int): Number of them whose best class is the same for both.
        float_ms (float): Median time of one image in single precision, in milliseconds.
        int8_ms (float): The same in integers.
    """

    images: int
    agreeing: int
    float_ms: float
    int8_ms: float

    @property
    def agreement(self) -> float:
        """Share of the images whose best class is the same."""
        return self.agreeing / self.images


class FolderImages:
    """The pictures of a folder and its sub-folders, as a config's test pipeline prepares them.

    Args:
        config (Config): Config of a classifier with a ``test_dataloader``.
        folder (str): The folder.

    Raises:
        UserError: If there are no pictures in it, or the config has no test pipeline.
    """

    def __init__(self, config: Config, folder: str) -> None:
        loader = config.get('test_dataloader') or config.get('val_dataloader')
        if not loader or 'pipeline' not in loader.dataset:
            raise UserError('The config has no test_dataloader with a pipeline, by which the '
                            'images are to be prepared.')
        try:
            self._pictures = CustomDataset(data_root=folder, with_label=False,
                                           pipeline=from_files(loader.dataset.pipeline))
        except (AssertionError, RuntimeError, FileNotFoundError, ValueError) as error:
            raise UserError(f'{folder} has no pictures ({error}).') from error
        preprocessor = {**(config.get('data_preprocessor') or {}),
                        **(config.model.get('data_preprocessor') or {})}
        self._preprocessor = MODELS.build(dict(dict(type='ClsDataPreprocessor'), **preprocessor))

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Tensor:
        """Prepare a picture.

        Args:
            index (int): Which one.

        Returns:
            Tensor: Normalised image of shape (1, C, H, W).
        """
        sample = self._pictures[index]
        batch = dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
        return self._preprocessor(batch)['inputs']

    def spread(self, number: int, offset: int = 0) -> list[int]:
        """Choose pictures from the whole folder.

        Args:
            number (int): How many, at most.
            offset (int): With another offset come other pictures, as far as there are any.
                Defaults to 0.

        Returns:
            list[int]: Their indices.
        """
        step = max(len(self) // number, 1)
        return list(islice(range(offset % step, len(self), step), number))


class _Reader:
    """What ONNX Runtime asks for images."""

    def __init__(self, images: Sequence[Tensor]) -> None:
        self._left: Iterator[Tensor] = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._left, None)
        return None if image is None else {'images': image.numpy()}


def quantize(source: Path, target: Path, images: Sequence[Tensor], reduce_range: bool = False
             ) -> None:
    """Write a classifier in 8-bit integers.

    Weights are quantised per output channel, maps per tensor with the extremes that they take on
    the images. What the rounded weights add to the mean of every channel is taken out of the
    biases. Attention gates are computed in single precision.

    Args:
        source (Path): An ONNX file that :func:`~eca_mm.deploy.export.export` has written.
        target (Path): The file to write.
        images (Sequence[Tensor]): Images of shape (1, C, H, W) for calibration.
        reduce_range (bool): Whether weights have 7 bits, for x86 processors without VNNI, whose
            products of 8 bits may overflow. Defaults to False.

    Raises:
        UserError: If a package is missing.
    """
    check_installed()
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    model = onnx.load(str(source))
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    # The exporter has folded what there is to fold; without the mark there are two warnings.
    onnx.helper.set_model_props(model, {'onnx.quant.pre_process': 'onnxruntime.quant'})
    quantize_static(
        model, str(target), _Reader(images), quant_format=QuantFormat.QDQ, per_channel=True,
        reduce_range=reduce_range, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        op_types_to_quantize=_OPERATIONS, nodes_to_exclude=_gate_nodes(model))
    written = onnx.load(str(target))
    # Quantisation changes the model that it is given.
    correct_biases(onnx.load(str(source)), written, images)
    onnx.helper.set_model_props(written, metadata)
    onnx.save(written, str(target))


def check_installed() -> None:
    """Make sure that models can be quantised here.

    Raises:
        UserError: Naming what has to be installed.
    """
    absent = [name for name in ('onnx', 'onnxruntime') if importlib.util.find_spec(name) is None]
    if absent:
        raise UserError(f'Quantisation needs {" and ".join(absent)}: run `pip install '
                        f'{" ".join(absent)}`.')


def compare_precisions(full: Path, quantised: Path, images: Sequence[Tensor], threads: int = 0,
                       runtime: str = 'onnxruntime') -> Comparison:
    """Run a quantised classifier beside the one in single precision.

    Args:
        full (Path): The ONNX file in single precision.
        quantised (Path): The one in integers.
        images (Sequence[Tensor]): Images of shape (1, C, H, W).
        threads (int): Threads of the runtime, 0 for its own choice. Defaults to 0.
        runtime (str): One of :data:`~eca_mm.deploy.verify.RUNTIMES`. Defaults to
            ``'onnxruntime'``.

    Returns:
        Comparison: On how many images they agree, and how long one takes.
    """
    runners = [onnx_runner(path, threads, runtime) for path in (full, quantised)]
    for run in runners:
        run(images[0])
    agreeing = 0
    times: tuple[list[float], list[float]] = ([], [])
    for image in images:
        best = []
        for run, measured in zip(runners, times, strict=True):
            start = time.perf_counter()
            logits, = run(image)
            measured.append(1e3 * (time.perf_counter() - start))
            # NaN is nobody's best class.
            best.append(int(logits.argmax()) if logits.isfinite().all() else -1)
        agreeing += best[0] == best[1] >= 0
    return Comparison(len(images), agreeing, *map(statistics.median, times))


def _gate_nodes(model: Any) -> list[str]:
    """Names of the nodes from the means of a map to its rescaling, that one excluded."""
    readers = defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            readers[name].append(node)
    found: set[str] = set()
    for pooling in model.graph.node:
        if pooling.op_type not in ('ReduceMean', 'GlobalAveragePool'):
            continue
        passed, waiting, rescales = set(), [pooling], False
        while waiting:
            node = waiting.pop()
            if node.op_type == 'Mul':
                rescales = True
            elif node.name not in passed:
                passed.add(node.name)
                waiting += [reader for name in node.output for reader in readers[name]]
        # Otherwise it is the classifier's own pooling.
        found |= passed if rescales else set()
    return sorted(found)
