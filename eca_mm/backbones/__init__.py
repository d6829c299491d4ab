"""MMPretrain's backbones with one more argument, ``attention``."""
from .mobilenet_v2 import AttentionMobileNetV2, ECAMobileNetV2
from .resnet import AttentionResNet, ECAResNet
from .resnet_d import AttentionResNetD, ECAResNetD

__all__ = [
    'AttentionMobileNetV2', 'AttentionResNet', 'AttentionResNetD', 'ECAMobileNetV2', 'ECAResNet',
    'ECAResNetD'
]
