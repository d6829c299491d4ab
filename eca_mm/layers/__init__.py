"""Attention layers: one file per mechanism, all built as ``Layer(in_channels, **options)``."""
from .a2 import DoubleAttention
from .aa import AAConv2d
from .cbam import CBAM
from .channel_attention import ChannelAttention
from .eca import ECALayer, eca_kernel_size
from .eca_ns import ECANSLayer
from .eca_spatial import ECASpatialLayer
from .gc import GCBlock
from .ge import GELayer
from .gsop import GSoPLayer
from .non_local import NonLocalBlock
from .scse import SCSELayer
from .se import SELayer
from .se_variants import SEGCLayer, SEVar1Layer, SEVar2Layer, SEVar3Layer

__all__ = [
    'CBAM', 'AAConv2d', 'ChannelAttention', 'DoubleAttention', 'ECALayer', 'ECANSLayer',
    'ECASpatialLayer', 'GCBlock', 'GELayer', 'GSoPLayer', 'NonLocalBlock', 'SCSELayer',
    'SEGCLayer', 'SELayer', 'SEVar1Layer', 'SEVar2Layer', 'SEVar3Layer', 'eca_kernel_size'
]
