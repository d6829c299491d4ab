"""Classifiers in 8-bit integers, by ONNX Runtime's static quantisation."""
import importlib.util
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import MODELS
from torch import Tensor

from eca_mm.engine.data_loaders import from_files
from eca_mm.utils.errors import UserError

from .bias_correction import correct_biases
from .equalisation import equalise
from .mixed_precision import (
    before_activations,
    drop_implied_activations,
    keep_in_float,
    rounded_maps,
    rounding_errors,
    worst_maps,
)
from .onnx_graph import Graph
from .verify import onnx_runner

# What ONNX Runtime computes in integers. Gates are too small to be worth it, and additions and
# rescalings would round a residual stream again in every block.
_OPERATIONS = ['Conv', 'Gemm', 'MatMul', 'MaxPool', 'Relu', 'Clip']
# The first that can be told to keep ReLUs.
_OLDEST_RUNTIME = (1, 19)
# So many images tell which maps are hard to round.
_IMAGES_FOR_ERRORS = 16


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


@dataclass(frozen=True)
class Precisions:
    """What is rounded in a quantised classifier.

    Attributes:
        maps (int): Number of maps that could be rounded.
        in_float (int): Number of those that stay in single precision.
        equalised (int): Number of sets of maps whose channels were rescaled.
    """

    maps: int
    in_float: int
    equalised: int


def quantize(source: Path, target: Path, images: Sequence[Tensor], reduce_range: bool = False,
             limit: float = 1.) -> Precisions:
    """Write a classifier in 8-bit integers.

    Channels of a map are brought to similar ranges where that changes nothing. Weights are
    quantised per output channel, inputs and outputs of convolutions and linear layers per tensor
    with the extremes that they take on the images. Maps whose rounding costs the most stay in
    single precision. What the rounded weights add to the mean of every channel is taken out of the
    biases. Attention gates, rescalings, additions and logits are computed in single precision.

    Args:
        source (Path): An ONNX file that :func:`~eca_mm.deploy.export.export` has written.
        target (Path): The file to write.
        images (Sequence[Tensor]): Images of shape (1, C, H, W) for calibration.
        reduce_range (bool): Whether weights have 7 bits, for x86 processors without VNNI, whose
            products of 8 bits may overflow. Defaults to False.
        limit (float): Largest difference of the logits, relative to them, that rounding maps and
            the weights of the layers that make them may cause. Defaults to 1, which keeps no map.

    Returns:
        Precisions: How many maps are rounded.

    Raises:
        UserError: If a package is missing or too old.
    """
    check_installed()
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    model = onnx.load(str(source))
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    equalised = equalise(model, images)
    exact = onnx.ModelProto()
    exact.CopyFrom(model)
    # The exporter has folded what there is to fold; without the mark there are two warnings.
    onnx.helper.set_model_props(model, {'onnx.quant.pre_process': 'onnxruntime.quant'})
    # Quantisation changes the model that it is given. ReLUs are needed where maps stay as they are.
    quantize_static(
        model, str(target), _Reader(images), quant_format=QuantFormat.QDQ, per_channel=True,
        reduce_range=reduce_range, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        op_types_to_quantize=_OPERATIONS,
        nodes_to_exclude=[node.name for node in Graph(model).gate_nodes()],
        extra_options=dict(QDQKeepRemovableActivations=True,
                           OpTypesToExcludeOutputQuantization=['Gemm', 'MatMul']))
    written = onnx.load(str(target))
    keep_in_float(exact, written, before_activations(written))
    # On the exact model's maps, so that it does not matter which layers stay.
    correct_biases(exact, written, images)
    maps, kept = len(rounded_maps(written)), []
    if limit < 1:
        chosen = images[::max(len(images) // _IMAGES_FOR_ERRORS, 1)]
        kept = worst_maps(rounding_errors(exact, written, chosen), limit)
        keep_in_float(exact, written, kept)
    drop_implied_activations(written)
    onnx.helper.set_model_props(written, metadata)
    onnx.save(written, str(target))
    return Precisions(maps, len(kept), equalised)


def check_installed() -> None:
    """Make sure that models can be quantised here.

    Raises:
        UserError: Naming what has to be installed.
    """
    absent = [name for name in ('onnx', 'onnxruntime') if importlib.util.find_spec(name) is None]
    if absent:
        raise UserError(f'Quantisation needs {" and ".join(absent)}: run `pip install '
                        f'{" ".join(absent)}`.')
    import onnxruntime
    if tuple(map(int, onnxruntime.__version__.split('.')[:2])) < _OLDEST_RUNTIME:
        raise UserError(f'Quantisation needs ONNX Runtime 1.19 or newer, not '
                        f'{onnxruntime.__version__}: run `pip install -U onnxruntime`.')


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

