"""ECA-Net (Efficient Channel Attention, CVPR 2020) for MMPretrain and MMDetection.

Importing this package first makes the installed stack usable (:mod:`eca_mm.compat`) and then
registers every layer, backbone, data set and hook in mmengine's root registries, where configs of
all scopes find them by their bare names. mmpretrain's hub knows our classifiers by name.
"""
from . import compat

compat.install()

from . import backbones, datasets, deploy, engine, layers  # noqa: E402
from .version import __version__  # noqa: E402

__all__ = ['__version__', 'backbones', 'compat', 'datasets', 'deploy', 'engine', 'layers']
