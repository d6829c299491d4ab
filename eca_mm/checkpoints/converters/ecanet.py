"""The files of ECA-Net's authors: classifiers, and detectors of mmdetection 1.x."""
from collections.abc import Mapping

from mmpretrain.models.backbones import MobileNetV2
from torch import Tensor

from eca_mm.checkpoints.state_dict import state_dict_of
from eca_mm.layers import eca_kernel_size
from eca_mm.utils.errors import UserError

from .architecture import ResNetArchitecture, kernel_sizes_of
from .conversion import Conversion, convert
from .mmdet_1x import convert_detector, is_detector
from .mobilenet_v2 import mobilenet_v2_names
from .timm import config_names


def from_ecanet(checkpoint: Mapping) -> Conversion:
    """Convert a published checkpoint of ECA-Net.

    Depth, widths, classes and the kernel size of every stage are read from the weights; the
    ``arch`` that some files state is that of another network and is not looked at.

    Args:
        checkpoint (Mapping): A dict with a ``state_dict``, or that state dict.

    Returns:
        Conversion: The weights in our naming and the config that they load into strictly.

    Raises:
        UserError: If these are not the weights of such a network, or they are not complete
            (:class:`~eca_mm.checkpoints.keys.MisfitError`, with a report).
    """
    weights = state_dict_of(checkpoint)
    if is_detector(weights):
        return convert_detector(weights)
    if any(name.startswith('features.') for name in weights):
        return _mobilenet_v2(weights)
    names = {name: f'{"head" if name.startswith("fc.") else "backbone"}.{name}' for name in weights}
    architecture = ResNetArchitecture.read(weights)
    if architecture.kernel_sizes is None:
        raise UserError('The checkpoint has no ECA layers; convert a plain network by '
                        'tools/model_converters/torchvision_to_eca_mm.py, and one of timm by '
                        'timm_to_eca_mm.py.')
    return convert(weights, names, config_names(architecture), architecture.backbone())


def _mobilenet_v2(weights: Mapping[str, Tensor]) -> Conversion:
    names = mobilenet_v2_names(weights)
    names = {name: names.get(name, f'backbone.{name}') for name in weights}
    settings = MobileNetV2.arch_settings
    kernel_sizes = kernel_sizes_of(
        {names[name].removeprefix('backbone.'): value for name, value in weights.items()},
        [blocks for _, _, blocks, _ in settings])
    if kernel_sizes is None:
        raise UserError('The checkpoint has no ECA layers; convert a plain network by '
                        'tools/model_converters/torchvision_to_eca_mm.py.')
    stem = weights.get('features.0.0.weight')
    width = stem.shape[0] / 32 if stem is not None and stem.dim() else 1.
    adaptive = kernel_sizes == tuple(eca_kernel_size(channels) for _, channels, _, _ in settings)
    backbone = dict(type='ECAMobileNetV2', widen_factor=width,
                    kernel_size='adaptive' if adaptive else kernel_sizes)
    return convert(weights, names, [f'eca_mobilenet_v2/eca-mobilenet-v2{tag}_4xb24_in1k.py'
                                    for tag in ('', '-k13')], backbone)
