"""Backbones with attention: MMPretrain's with one more argument, two streams, any other network."""
from .mobilenet_v2 import AttentionMobileNetV2, ECAMobileNetV2
from .resnet import AttentionResNet, ECAResNet
from .resnet_cifar import AttentionResNetCIFAR, ECAResNetCIFAR
from .resnet_d import AttentionResNetD, ECAResNetD
from .stream_fusion import AttentionFusion, ConcatFusion
from .two_stream import TwoStreamBackbone
from .with_attention import AttentionReport, add_attention, with_attention

__all__ = [
    'AttentionFusion', 'AttentionMobileNetV2', 'AttentionReport', 'AttentionResNet',
    'AttentionResNetCIFAR', 'AttentionResNetD', 'ConcatFusion', 'ECAMobileNetV2', 'ECAResNet',
    'ECAResNetCIFAR', 'ECAResNetD', 'TwoStreamBackbone', 'add_attention', 'with_attention'
]
