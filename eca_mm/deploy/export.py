"""Classifiers and feature pyramids as ONNX, torch.export or TorchScript files."""
import copy
import importlib.util
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from mmdet.models.detectors.base import BaseDetector
from torch import Tensor, nn

from eca_mm.backbones.two_stream import input_channels
from eca_mm.utils.errors import UserError

SUFFIXES = {'onnx': '.onnx', 'torch-export': '.pt2', 'torchscript': '.pt'}
# From this version on, torch.onnx.export uses torch.export by default.
ONNX_BY_TORCH_EXPORT = torch.__version__ >= (2, 9)
_DIMENSIONS = {0: 'batch', 2: 'height', 3: 'width'}


class TensorModel(nn.Module):
    """A model that takes images and returns tensors, without pre- and post-processing.

    Args:
        model (nn.Module): A classifier or detector in evaluation mode.
        backbone_only (bool): Whether to stop after the backbone. Defaults to False.
    """

    def __init__(self, model: nn.Module, backbone_only: bool = False) -> None:
        super().__init__()
        self.model = model
        self.backbone_only = backbone_only
        # Not by eval(), which asks every module what it thinks of it.
        self.training = False

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute logits or feature maps.

        Args:
            images (Tensor): Normalised images of shape (N, C, H, W), with three channels or those
                of a two-stream backbone.

        Returns:
            tuple[Tensor, ...]: Logits of shape (N, classes) of a classifier, the maps
            (N, C, H / stride, W / stride) of a detector's neck, or those of the backbone.
        """
        if self.backbone_only:
            return tuple(self.model.backbone(images))
        if isinstance(self.model, BaseDetector):
            return tuple(self.model.extract_feat(images))
        return (self.model(images, mode='tensor'),)


def output_names(model: TensorModel, shape: tuple[int, int]) -> list[str]:
    """Name what a model outputs.

    Args:
        model (TensorModel): The model.
        shape (tuple[int, int]): Height and width of an image.

    Returns:
        list[str]: ``logits``, or ``map0``, ``map1`` ... from the largest map on.
    """
    with torch.no_grad():
        outputs = model(torch.zeros(1, input_channels(model), *shape))
    return [f'map{i}' if value.dim() == 4 else 'logits' for i, value in enumerate(outputs)]


def check_format(kind: str) -> None:
    """Make sure that a format can be written here.

    Args:
        kind (str): A key of :data:`SUFFIXES`.

    Raises:
        UserError: Naming what has to be installed.
    """
    if kind == 'onnx':
        packages = ['onnx', 'onnxruntime', *['onnxscript'][:ONNX_BY_TORCH_EXPORT]]
        absent = [name for name in packages if importlib.util.find_spec(name) is None]
        if absent:
            raise UserError(f'ONNX files need {" and ".join(absent)}: run `pip install '
                            f'{" ".join(absent)}`.')
    if kind == 'torch-export' and not hasattr(torch.export.Dim, 'DYNAMIC'):
        raise UserError(f'torch.export of PyTorch {torch.__version__} is too old for images of any '
                        'size; install PyTorch 2.6 or newer, or choose another format.')


def export(model: TensorModel,
           path: Path,
           kind: str,
           shape: tuple[int, int],
           names: list[str],
           fixed_size: bool = False,
           metadata: Mapping[str, str] | None = None) -> None:
    """Write a model that runs without this package, for batches of any size.

    Args:
        model (TensorModel): What to write.
        path (Path): The file, with the suffix that :data:`SUFFIXES` lists.
        kind (str): A key of :data:`SUFFIXES`.
        shape (tuple[int, int]): Height and width of the images that it is traced with.
        names (list[str]): Names of the outputs; ONNX alone has such.
        fixed_size (bool): Whether only images of that shape are to be taken. Defaults to False.
        metadata (Mapping[str, str], optional): Written into the file: ONNX's ``metadata_props``,
            and one text file each in the archives of the other formats.

    Raises:
        UserError: If something that the format needs is not installed.
    """
    check_format(kind)
    # A batch of one would be taken for a constant.
    images = torch.randn(2, input_channels(model), *shape)
    axes = {axis: name for axis, name in _DIMENSIONS.items() if axis == 0 or not fixed_size}
    metadata = dict(metadata or {})
    with torch.no_grad(), warnings.catch_warnings():
        # Of the exporters about themselves, and of mmdet's assertions on shapes.
        warnings.simplefilter('ignore')
        if kind == 'onnx':
            _export_onnx(model, images, path, names, axes, metadata)
        elif kind == 'torch-export':
            dynamic = {axis: torch.export.Dim.DYNAMIC for axis in axes}
            program = torch.export.export(model, (images,), dynamic_shapes=(dynamic,))
            torch.export.save(program, path, extra_files=metadata)
        else:
            traced = torch.jit.trace(model, images, check_trace=False)
            torch.jit.save(torch.jit.freeze(traced), str(path), _extra_files=metadata)


def _export_onnx(model: nn.Module, images: Tensor, path: Path, names: list[str], axes: dict,
                 metadata: dict) -> None:
    if ONNX_BY_TORCH_EXPORT:
        options = dict(dynamic_shapes=(axes,), dynamo=True, external_data=False, verbose=False)
    else:
        outputs = {name: axes if name != 'logits' else {0: 'batch'} for name in names}
        outputs = {name: {axis: f'{name}_{label}' if axis else label
                          for axis, label in found.items()} for name, found in outputs.items()}
        options = dict(dynamic_axes={'images': axes, **outputs}, opset_version=17)
    # The inference form is in channels_last, whose strides would become index arithmetic.
    model = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
    torch.onnx.export(model, (images,), str(path), input_names=['images'], output_names=names,
                      **options)
    write_metadata(path, metadata)


def write_metadata(path: Path, metadata: Mapping[str, str]) -> None:
    """Check an ONNX file and write metadata into it.

    Args:
        path (Path): The file, which is replaced.
        metadata (Mapping[str, str]): Its new ``metadata_props``.
    """
    import onnx

    saved = onnx.load(str(path))
    onnx.helper.set_model_props(saved, dict(metadata))
    onnx.checker.check_model(saved)
    onnx.save(saved, str(path))
