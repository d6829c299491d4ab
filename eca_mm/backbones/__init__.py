"""MMPretrain's backbones with one more argument, ``attention``."""
from .mobilenet_v2 import AttentionMobileNetV2, ECAMobileNetV2
from .resnet import AttentionResNet, ECAResNet
from .resnet_d import AttentionResNetD, ECAResNetD
from .stream_fusion import AttentionFusion, ConcatFusion
from .two_stream import TwoStreamBackbone

__all__ = [
    'AttentionFusion', 'AttentionMobileNetV2', 'AttentionResNet', 'AttentionResNetD',
    'ConcatFusion', 'ECAMobileNetV2', 'ECAResNet', 'ECAResNetD', 'TwoStreamBackbone'
]
