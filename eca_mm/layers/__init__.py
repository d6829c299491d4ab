"""Attention layers: one file per mechanism, all built as ``Layer(in_channels, **options)``."""
from .channel_attention import ChannelAttention
from .eca import ECALayer, eca_kernel_size

__all__ = ['ChannelAttention', 'ECALayer', 'eca_kernel_size']
