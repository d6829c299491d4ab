"""The cost of a config's model: parameters, multiply-adds and activations, without weights."""
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.structures import DetDataSample
from mmengine.analysis import ActivationAnalyzer, FlopAnalyzer
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData
from torch import Tensor, nn

from eca_mm.backbones.freezing import decide
from eca_mm.backbones.two_stream import input_channels


@dataclass(frozen=True)
class Complexity:
    """Cost of one forward pass with a batch of one image.

    Attributes:
        shape (tuple[int, int]): Height and width of the input in pixels.
        params (int): Number of parameters.
        trainable_params (int): Number of parameters that require a gradient; the paper's Table 5
            prints these, in decimal millions.
        flops (int): Multiply-adds of convolutions and matrix products, plus the operations of
            normalisation and pooling; a multiply-add counts once.
        activations (int): Number of output elements of convolutions and matrix products.
    """

    shape: tuple[int, int]
    params: int
    trainable_params: int
    flops: int
    activations: int


class _TensorForward(nn.Module):
    """A model whose only input is the images, so that the analysers can trace it."""

    def __init__(self, model: nn.Module, data_samples: list[DetDataSample] | None) -> None:
        super().__init__()
        self.model = model
        self.data_samples = data_samples

    def forward(self, inputs: Tensor) -> Any:
        """Put images (N, C, H, W) through backbone, neck and heads, without post-processing."""
        return self.model(inputs, self.data_samples, mode='tensor')


def build_model(cfg: Config) -> nn.Module:
    """Build a config's model with random weights, in evaluation mode.

    Weights named by ``init_cfg`` are not read, but what is frozen is what they would freeze if they
    contain the attention, as the paper's do. Synchronised BN, which needs a process group, becomes
    ordinary BN.

    Args:
        cfg (Config): Config of a classifier or detector.

    Returns:
        nn.Module: The model.
    """
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    model = revert_sync_batchnorm(MODELS.build(cfg.model))
    decide(model, lambda name, layer: True)
    return model.eval()


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """Count a model's parameters.

    Args:
        model (nn.Module): Any model.

    Returns:
        tuple[int, int]: The number of all parameters and of those that require a gradient.
    """
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, _ in sizes), sum(n for n, trainable in sizes if trainable)


def measure_complexity(model: nn.Module, shape: tuple[int, int] | None = None) -> Complexity:
    """Measure what one forward pass costs.

    The counting is mmengine's. A two-stage detector takes as many proposals as its test settings
    let through (1000 in mmdet's FPN models, of which 100 reach the mask head).

    Args:
        model (nn.Module): A classifier or detector in evaluation mode.
        shape (tuple[int, int], optional): Height and width of the input in pixels; its channels
            are those of the first convolution. Defaults to the
            paper's: 800 x 1280 for detectors, 224 x 224 for classifiers.

    Returns:
        Complexity: The figures.
    """
    is_detector = isinstance(model, BaseDetector)
    height, width = shape or ((800, 1280) if is_detector else (224, 224))
    data_samples = [data_sample(height, width)] if is_detector else None
    forward = _TensorForward(model, data_samples)
    inputs = torch.rand(1, input_channels(model), height, width,
                        device=next(model.parameters()).device)
    flops, activations = (
        analyzer(forward, inputs).unsupported_ops_warnings(False).uncalled_modules_warnings(
            False).tracer_warnings('none').total()
        for analyzer in (FlopAnalyzer, ActivationAnalyzer))
    return Complexity((height, width), *count_parameters(model), int(flops), int(activations))


def data_sample(height: int, width: int) -> DetDataSample:
    """Describe an image to a detector, which needs its size.

    Args:
        height (int): Its height in pixels.
        width (int): Its width in pixels.

    Returns:
        DetDataSample: With that size as the original, the resized and the padded one.
    """
    size = (height, width)
    meta = dict(img_shape=size, ori_shape=size, pad_shape=size, batch_input_shape=size,
                scale_factor=(1., 1.))
    sample = DetDataSample(metainfo=meta)
    # Sparse R-CNN's head unpacks the ground truth, which is absent here.
    sample.gt_instances = InstanceData(bboxes=torch.empty(0, 4), labels=torch.empty(0).long())
    return sample
