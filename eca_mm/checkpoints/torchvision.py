"""Plain ImageNet weights of torchvision's naming, for networks with an attention to start from."""
import re
from collections.abc import Mapping

from torch import Tensor

from ..backbones import AttentionMobileNetV2, AttentionResNet
from ..compat import UserError
from .keys import KeyReport
from .mobilenet_v2 import mobilenet_v2_names


def from_torchvision(checkpoint: Mapping) -> dict[str, Tensor]:
    """Rename the weights of a plain ResNet or MobileNetV2 into those of our classifiers.

    Besides torchvision's files, mmpretrain's (whose names are ours already) and MobileNetV2 files
    of the implementation before torchvision's are understood. The classifier may be absent. The
    result fits the backbones with an attention too: the attention's weights stay as initialised.

    Args:
        checkpoint (Mapping): A state dict, or a dict that holds one under ``'state_dict'``.

    Returns:
        dict[str, Tensor]: The weights, named ``backbone.*`` and ``head.fc.*``.

    Raises:
        UserError: If this is no such network, or weights lack or are left over.
    """
    weights = {re.sub(r'^module\.', '', name): value
               for name, value in checkpoint.get('state_dict', checkpoint).items()}
    names = _names(weights)
    if not names:
        raise UserError('The checkpoint is no ResNet or MobileNetV2 in the naming of torchvision '
                        f'or mmpretrain; its weights start with {", ".join(list(weights)[:3])}.')
    converted = {names.get(name, name): value for name, value in weights.items()}
    _check({name.removeprefix('backbone.'): value for name, value in converted.items()
            if not name.startswith('head.fc.')})
    return converted


def _names(weights: Mapping) -> dict[str, str]:
    if any(name.startswith('backbone.') for name in weights):
        return {name: name for name in weights}
    if 'features.0.0.weight' in weights:
        return mobilenet_v2_names(weights)
    if 'layer1.0.conv1.weight' in weights:
        return {name: f'head.{name}' if name.startswith('fc.') else f'backbone.{name}'
                for name in weights}
    return {}


def _check(weights: dict) -> None:
    """Compare with the plain network that the weights seem to be of."""
    if 'layer1.0.conv1.weight' in weights:
        report = KeyReport.compare(AttentionResNet(_depth(weights)).state_dict(), weights)
        fits = not (report.missing or report.unexpected or report.wrong_shape)
    else:
        # Names only: the width is free.
        report = KeyReport.compare(AttentionMobileNetV2().state_dict(), weights)
        fits = not (report.missing or report.unexpected)
    if not fits:
        raise UserError(f'The checkpoint is not that of a plain ResNet or MobileNetV2: {report}.')


def _depth(weights: Mapping) -> int:
    """The depth of the ResNet that has these blocks."""
    blocks = {tuple(map(int, match.groups()))
              for match in map(re.compile(r'layer(\d)\.(\d+)\.').match, weights) if match}
    counts = tuple(sum(stage == i for stage, _ in blocks) for i in (1, 2, 3, 4))
    bottleneck = any('.conv3.' in name for name in weights)
    for depth, (_, stage_blocks) in AttentionResNet.arch_settings.items():
        if stage_blocks == counts and (depth >= 50) == bottleneck:
            return depth
    raise UserError(f'The checkpoint has {counts} blocks in its stages, which is no ResNet of '
                    f'depth {", ".join(map(str, AttentionResNet.arch_settings))}.')
