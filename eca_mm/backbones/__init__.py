"""Backbones: mmpretrain's networks with one more argument, ``attention``."""
from .mobilenet_v2 import AttentionMobileNetV2, ECAMobileNetV2
from .resnet import AttentionResNet, ECAResNet

__all__ = ['AttentionMobileNetV2', 'AttentionResNet', 'ECAMobileNetV2', 'ECAResNet']
