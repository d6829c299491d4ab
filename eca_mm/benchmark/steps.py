"""One step of inference or of training, as a function without arguments."""
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn import functional as F

from eca_mm.analysis.complexity import data_sample
from eca_mm.utils.errors import UserError

DTYPES = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}
# The weights of an inference form stay in the format that it has chosen.
MEMORY_FORMATS = {'contiguous': torch.preserve_format, 'channels_last': torch.channels_last}


@dataclass(frozen=True)
class Settings:
    """How networks are run.

    Attributes:
        training (bool): Whether a step is one of training: forward, backward and SGD.
        batch (int): Number of images.
        shape (tuple[int, int]): Their height and width in pixels.
        dtype (str): A key of ``DTYPES``. Inference of classifiers converts the weights; training
            and detectors use automatic mixed precision.
        memory_format (str): A key of ``MEMORY_FORMATS``.
        compile (bool): Whether classifiers and detectors' backbones go through torch.compile.
        device (str): Where they run.
        all_levels (bool): Whether classifiers return the maps of their stages, as in a detector.
    """

    training: bool = False
    batch: int = 16
    shape: tuple[int, int] = (224, 224)
    dtype: str = 'fp32'
    memory_format: str = 'contiguous'
    compile: bool = False
    device: str = 'cpu'
    all_levels: bool = False

    def as_dict(self) -> dict:
        """All of them, with the number of threads and torch's version, for the results."""
        return asdict(self) | {'threads': torch.get_num_threads(), 'torch': torch.__version__}

    def check(self) -> None:
        """Check that the machine has the requested device.

        Raises:
            UserError: If there is no such device.
        """
        try:
            torch.zeros(1, device=self.device)
        except (RuntimeError, AssertionError) as error:
            raise UserError(f'Device {self.device!r} cannot be used here; leave --device out to '
                            'run on the CPU.') from error


class Step:
    """One step of a network; calling it runs the step.

    Args:
        model (nn.Module): A detector, or a network that maps images to a tensor or to several.
        settings (Settings): How it is run; the model is changed accordingly.
    """

    def __init__(self, model: nn.Module, settings: Settings) -> None:
        self.settings = settings
        self.device = torch.device(settings.device)
        self.is_detector = isinstance(model, BaseDetector)
        dtype = DTYPES[settings.dtype]
        self.amp = dtype is not torch.float32 and (settings.training or self.is_detector)
        model.to(self.device, torch.float32 if self.amp else dtype,
                 memory_format=MEMORY_FORMATS[settings.memory_format])
        model.train(settings.training)
        self.model = model
        self.data = self._detector_data() if self.is_detector else self._images(dtype)
        self._call = model
        if settings.compile and self.is_detector:
            model.backbone.compile()
        elif settings.compile:
            self._call = torch.compile(model)
        trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.SGD(trained, lr=1e-4, momentum=0.9) if (
            settings.training) else None
        # Gradients in fp16 would underflow.
        scales = settings.training and dtype is torch.float16
        self.scaler = torch.amp.GradScaler(self.device.type) if scales else None

    def __call__(self) -> object:
        """Run the step.

        Returns:
            object: What the network outputs in inference, else None.
        """
        if self.settings.training:
            assert self.optimizer is not None
            if self.scaler is None:
                self.loss().backward()
                self.optimizer.step()
            else:
                self.scaler.scale(self.loss()).backward()
                self.scaler.step(self.optimizer)
                self.scaler.update()
            self.optimizer.zero_grad(set_to_none=True)
            return None
        with torch.no_grad(), self._autocast():
            return self.model.test_step(self.data) if self.is_detector else self._call(self.data)

    def loss(self) -> Tensor:
        """Run the forward pass of training.

        Returns:
            Tensor: The loss, a scalar.
        """
        with self._autocast():
            if self.is_detector:
                data = self.model.data_preprocessor(self.data, True)
                return self.model.parse_losses(self.model(**data, mode='loss'))[0]
            out = self._call(self.data)
            if isinstance(out, Tensor):
                labels = torch.arange(len(out), device=self.device) % out.size(1)
                return F.cross_entropy(out.float(), labels)
            return sum(level.float().mean() for level in out)

    def _autocast(self) -> AbstractContextManager:
        if not self.amp:
            return nullcontext()
        return torch.autocast(self.device.type, DTYPES[self.settings.dtype])

    def _images(self, dtype: torch.dtype) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(self.settings.batch, 3, *self.settings.shape, generator=generator)
        return images.to(self.device, torch.float32 if self.amp else dtype,
                         memory_format=MEMORY_FORMATS[self.settings.memory_format])

    def _detector_data(self) -> dict:
        """Images of bytes, with two objects each, as a data loader brings them."""
        height, width = self.settings.shape
        generator = torch.Generator().manual_seed(0)
        samples = []
        for _ in range(self.settings.batch):
            sample = data_sample(height, width)
            boxes = torch.tensor([[.1, .1, .4, .5], [.3, .2, .9, .8]])
            boxes = boxes * torch.tensor([width, height, width, height])
            masks = boxes.new_zeros(2, height, width, dtype=torch.uint8)
            for mask, (left, top, right, bottom) in zip(masks, boxes.long().tolist(), strict=True):
                mask[top:bottom, left:right] = 1
            sample.gt_instances = InstanceData(
                bboxes=boxes, labels=torch.tensor([0, 1]),
                masks=BitmapMasks(masks.numpy(), height, width))
            samples.append(sample)
        images = torch.randint(256, (self.settings.batch, 3, height, width), dtype=torch.uint8,
                               generator=generator)
        return dict(inputs=list(images), data_samples=samples)


def first_tensor(result: Any) -> Tensor:
    """One tensor that stands for the result of an inference step.

    Args:
        result (Any): Class scores, maps, or detections.

    Returns:
        Tensor: The scores, the last map, or the boxes of the first image.
    """
    if isinstance(result, Tensor):
        return result
    last = result[-1]
    return last if isinstance(last, Tensor) else result[0].pred_instances.bboxes


def count_graph_breaks(step: Callable[[], object]) -> int:
    """Compile a network by calling it for the first time.

    Args:
        step (Callable): A step of a compiled network.

    Returns:
        int: How often the compiler had to leave a part of it to Python.
    """
    from torch._dynamo.utils import counters
    counters.clear()
    step()
    return sum(counters['graph_break'].values())
