"""ECA-Net (Efficient Channel Attention, CVPR 2020) for MMPretrain and MMDetection.

Importing this package first makes the installed stack usable (:mod:`eca_mm.compat`) and then
registers every layer, backbone, data set and hook in mmengine's root registries, where configs of
all scopes find them by their bare names. mmpretrain's hub knows our classifiers by name.
"""
from . import compat

compat.install()

from . import backbones, datasets, deploy, engine, layers  # noqa: E402
from .backbones import (  # noqa: E402
    AttentionFusion,
    AttentionMobileNetV2,
    AttentionReport,
    AttentionResNet,
    AttentionResNetCIFAR,
    AttentionResNetD,
    ConcatFusion,
    ECAMobileNetV2,
    ECAResNet,
    ECAResNetCIFAR,
    ECAResNetD,
    TwoStreamBackbone,
    add_attention,
    with_attention,
)
from .engine import frozen_attention  # noqa: E402
from .layers import (  # noqa: E402
    CBAM,
    AAConv2d,
    ChannelAttention,
    DoubleAttention,
    ECALayer,
    ECANSLayer,
    ECASpatialLayer,
    GCBlock,
    GELayer,
    GSoPLayer,
    NonLocalBlock,
    SCSELayer,
    SEGCLayer,
    SELayer,
    SEVar1Layer,
    SEVar2Layer,
    SEVar3Layer,
    eca_kernel_size,
)
from .version import __version__  # noqa: E402

frozen_attention.install()

__all__ = [
    'CBAM',
    'AAConv2d',
    'AttentionFusion',
    'AttentionMobileNetV2',
    'AttentionReport',
    'AttentionResNet',
    'AttentionResNetCIFAR',
    'AttentionResNetD',
    'ChannelAttention',
    'ConcatFusion',
    'DoubleAttention',
    'ECALayer',
    'ECAMobileNetV2',
    'ECANSLayer',
    'ECAResNet',
    'ECAResNetCIFAR',
    'ECAResNetD',
    'ECASpatialLayer',
    'GCBlock',
    'GELayer',
    'GSoPLayer',
    'NonLocalBlock',
    'SCSELayer',
    'SEGCLayer',
    'SELayer',
    'SEVar1Layer',
    'SEVar2Layer',
    'SEVar3Layer',
    'TwoStreamBackbone',
    '__version__',
    'add_attention',
    'backbones',
    'compat',
    'datasets',
    'deploy',
    'eca_kernel_size',
    'engine',
    'layers',
    'with_attention'
]
