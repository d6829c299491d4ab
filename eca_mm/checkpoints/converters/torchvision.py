"""Plain ImageNet weights of torchvision's naming, for networks with an attention to start from."""
from collections.abc import Mapping

from mmengine.registry import MODELS
from torch import Tensor

from eca_mm.checkpoints.keys import KeyReport, check_fit
from eca_mm.checkpoints.state_dict import state_dict_of
from eca_mm.utils.errors import UserError

from .architecture import ResNetArchitecture
from .conversion import Conversion, rename
from .mobilenet_v2 import mobilenet_v2_names
from .timm import timm_names


def from_torchvision(checkpoint: Mapping) -> Conversion:
    """Rename the weights of a plain ResNet or MobileNetV2 into those of our classifiers.

    Besides torchvision's files, those of MMPretrain and MMDetection (whose names are ours already;
    of a detector the backbone is taken) and MobileNetV2 files of the implementation before
    torchvision's are understood. The classifier may be absent. The result is for backbones with an
    attention to start from: what they lack is the attention, and nothing else.

    Args:
        checkpoint (Mapping): A state dict, or a dict that holds one.

    Returns:
        Conversion: The weights, named ``backbone.*`` and ``head.fc.*``, and a report in which the
        ECA layers of the same network with ECA are missing.

    Raises:
        UserError: If this is not such a network, or weights lack or are left over
            (:class:`~eca_mm.checkpoints.keys.MisfitError`, with a report).
    """
    weights = state_dict_of(checkpoint)
    detector = [name for name in weights
                if name.startswith(('neck.', 'rpn_head.', 'roi_head.', 'bbox_head.', 'mask_head.'))]
    weights = {name: value for name, value in weights.items() if name not in set(detector)}
    names = _names(weights)
    if not names:
        raise UserError('The checkpoint is not a ResNet or MobileNetV2 in the naming of '
                        'torchvision or mmpretrain; its weights start with '
                        f'{", ".join(list(weights)[:3])}.')
    names = {name: names.get(name, name) for name in weights}
    converted = rename(weights, names)
    backbone = {name.removeprefix('backbone.'): value for name, value in converted.items()
                if not name.startswith('head.fc.')}
    report = _compare(backbone)
    notes = [f'Not in it are the {len(report.missing)} weights of the ECA layers, which start '
             'untrained.']
    if detector:
        notes.append(f'Of the detector the backbone was taken, and {len(detector)} weights of its '
                     'neck and heads were left.')
    return Conversion(converted, names, None, {}, report, tuple(notes))


def _names(weights: Mapping) -> dict[str, str]:
    if any(name.startswith('backbone.') for name in weights):
        return {name: name for name in weights}
    if 'features.0.0.weight' in weights:
        return mobilenet_v2_names(weights)
    if 'layer1.0.conv1.weight' in weights:
        # timm's plain networks are named like torchvision's except for the stem of the D variant.
        return timm_names(weights)
    return {}


def _compare(backbone: Mapping[str, Tensor]) -> KeyReport:
    """Check that a backbone is a plain network, and compare it with the same one with ECA."""
    if any(name.startswith('layer1.0.conv1.') for name in backbone):
        cfg = ResNetArchitecture.read(backbone).backbone()
        if cfg['type'] not in ('AttentionResNet', 'AttentionResNetD'):
            raise UserError('The checkpoint has ECA layers; convert it by ecanet_to_eca_mm.py or '
                            'timm_to_eca_mm.py.')
    else:
        stem = backbone.get('conv1.conv.weight')
        cfg = dict(type='AttentionMobileNetV2',
                   widen_factor=stem.shape[0] / 32 if stem is not None and stem.dim() else 1.)
    try:
        plain, attentive = (MODELS.build(each).state_dict() for each in (
            cfg, {**cfg, 'type': cfg['type'].replace('Attention', 'ECA')}))
    except (ValueError, TypeError, AssertionError, RuntimeError, ArithmeticError) as error:
        raise UserError('The shapes of the checkpoint\'s weights are those of no ResNet or '
                        f'MobileNetV2 that we can build ({error}).') from error
    check_fit(plain, backbone, 'The checkpoint is not that of a plain ResNet or MobileNetV2')
    return KeyReport.compare(attentive, backbone)
