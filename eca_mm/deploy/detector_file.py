"""ONNX files of whole detectors, and whether they find what their detector finds."""
import copy
import inspect
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.datasets.folder import IMG_EXTENSIONS

from eca_mm.backbones.two_stream import input_channels
from eca_mm.datasets.loading import LoadImage
from eca_mm.utils.errors import UserError

from .detection import DetectorModel
from .export import check_format, write_metadata
from .verify import onnx_runner, shapes_to_try

# The share of detections that have to agree: suppression turns a rounding error into a whole box.
LEAST_AGREEMENT = 0.95


@dataclass(frozen=True)
class Agreement:
    """How many detections of a file and of its detector are the same.

    Attributes:
        shape (tuple[int, ...]): Shape (1, C, H, W) of the image.
        expected (int): Number of detections of the detector.
        found (int): Number of detections of the file.
        same (int): Number of those that have a counterpart: the same label, corners within 0.1
            pixels, score and mask within 0.001 and 0.01.
    """

    shape: tuple[int, ...]
    expected: int
    found: int
    same: int

    @property
    def share(self) -> float:
        """Detections with a counterpart beside all detections; 1 if there are none at all."""
        total = max(self.expected, self.found)
        return self.same / total if total else 1.


def export_detector(model: DetectorModel,
                    path: Path,
                    shape: tuple[int, int],
                    metadata: Mapping[str, str] | None = None) -> None:
    """Write a detector with its post-processing as an ONNX file for one image of any size.

    Args:
        model (DetectorModel): What to write.
        path (Path): The file.
        shape (tuple[int, int]): Height and width of the image that it is traced with.
        metadata (Mapping[str, str], optional): Written into the file's ``metadata_props``.

    Raises:
        UserError: If a package that ONNX files need is not installed.
    """
    check_format('onnx')
    names = model.output_names
    axes = {'images': {2: 'height', 3: 'width'}, **{name: {0: 'detections'} for name in names}}
    # The number of boxes depends on values, which tracing does not mind.
    model = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
    traced = 'dynamo' in inspect.signature(torch.onnx.export).parameters
    options = dict(dynamo=False) if traced else {}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.onnx.export(model, (_noise((1, input_channels(model), *shape)),), str(path),
                          input_names=['images'], output_names=names, dynamic_axes=axes,
                          opset_version=17, **options)
    write_metadata(path, metadata or {})


def generated_images(model: DetectorModel, shape: tuple[int, int]) -> list[Tensor]:
    """Draw smooth noise in several sizes, odd ones among them.

    Args:
        model (DetectorModel): The detector, which knows its input's channels.
        shape (tuple[int, int]): Height and width of the first one.

    Returns:
        list[Tensor]: Normalised images of shape (1, C, H, W).
    """
    shapes = shapes_to_try(shape, channels=input_channels(model))
    return [_noise((1, *shape[1:])) for shape in {shape[1:]: shape for shape in shapes}.values()]


def read_images(folder: Path, detector: nn.Module, largest: int) -> list[Tensor]:
    """Read pictures as a detector's preprocessor normalises them, without resizing.

    Args:
        folder (Path): A folder of pictures; its sub-folders are not read.
        detector (nn.Module): The detector.
        largest (int): Read only so many, the first by name.

    Returns:
        list[Tensor]: Images of shape (1, 3, H, W).

    Raises:
        UserError: If the folder has no pictures, or one that cannot be read.
    """
    files = sorted(path for path in folder.glob('*') if path.suffix.lower() in IMG_EXTENSIONS)
    if not files:
        raise UserError(f'{folder} has no pictures (*{", *".join(IMG_EXTENSIONS)}).')
    images = []
    for path in files[:largest]:
        picture = torch.from_numpy(LoadImage()(dict(img_path=str(path)))['img'])
        prepared = detector.data_preprocessor(dict(inputs=[picture.permute(2, 0, 1)]))['inputs']
        # The file pads by itself.
        images.append(prepared[..., :picture.shape[0], :picture.shape[1]])
    return images


def compare_detections(model: DetectorModel, path: Path, images: Iterable[Tensor],
                       runtime: str = 'onnxruntime') -> list[Agreement]:
    """Run a file beside the detector that it was made from.

    Args:
        model (DetectorModel): The detector in its ordinary form.
        path (Path): The file.
        images (Iterable[Tensor]): Normalised images of shape (1, C, H, W).
        runtime (str): What runs the file, one of :data:`~eca_mm.deploy.verify.RUNTIMES`. Defaults
            to ``'onnxruntime'``.

    Returns:
        list[Agreement]: One per image.
    """
    run = onnx_runner(path, runtime=runtime)
    agreements = []
    for image in images:
        with torch.no_grad():
            expected = model(image)
        found = run(image)
        agreements.append(Agreement(tuple(image.shape), len(expected[0]), len(found[0]),
                                    _count_same(expected, found)))
    return agreements


def _count_same(expected: Sequence[Tensor], found: Sequence[Tensor]) -> int:
    """Number of detections in both; a detection counts once."""
    tolerances, free, same = (0.1, 1e-3, 0, 1e-2), set(range(len(found[0]))), 0
    for detection in zip(*expected, strict=True):
        for i in sorted(free):
            # Written so that NaN is not the same as anything.
            if all(float((ours - theirs[i]).abs().max()) <= tolerance for ours, theirs, tolerance
                   in zip(detection, found, tolerances, strict=False)):
                free.remove(i)
                same += 1
                break
    return same


def _noise(shape: tuple[int, ...]) -> Tensor:
    """Normalised images with structure at the size of objects, always the same ones."""
    coarse = torch.randn(*shape[:2], 9, 9, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, size=shape[2:], mode='bilinear') * 2
