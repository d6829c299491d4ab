"""Repair of what mmcv, mmdet and mmpretrain left behind when imported without ``mmcv._ext``."""
import importlib
import sys
from typing import Any

PACKAGES = ('mmcv', 'mmdet', 'mmpretrain')


def repair() -> None:
    """Brings modules imported before ``mmcv._ext`` existed to the state they have with it.

    An import that failed removed its package but left the finished submodules, which have
    registered their classes and cannot run a second time: the import is done again around them.
    An import that got by without the operators bound None or nothing instead of what needs them:
    that is bound now. Nothing that was imported completely is touched.
    """
    transformer: Any = sys.modules.get('mmcv.cnn.bricks.transformer')
    if transformer is not None and not hasattr(transformer, 'MultiScaleDeformableAttention'):
        attention = importlib.import_module('mmcv.ops.multi_scale_deform_attn')
        transformer.MultiScaleDeformableAttention = attention.MultiScaleDeformableAttention

    _finish_failed_imports()

    layer: Any = sys.modules.get('mmpretrain.models.utils.res_layer_extra_norm')
    if layer is not None and layer.ResLayerExtraNorm is None:
        importlib.reload(layer)
        for name in ('mmpretrain.models.utils', 'mmpretrain.models'):
            package: Any = sys.modules[name]
            package.ResLayerExtraNorm = layer.ResLayerExtraNorm


def _finish_failed_imports() -> None:
    orphans = [name for name in sys.modules if name.split('.')[0] in PACKAGES
               and any(parent not in sys.modules for parent in _parents(name))]
    for name in orphans:
        # Importing the innermost package imports those around it.
        importlib.import_module(_parents(name)[-1])
    for name in orphans:
        parent, _, child = name.rpartition('.')
        # Import binds a submodule to its package only when it loads it; a function of the same
        # name, such as mmcv.ops.nms, has the right of way.
        if not hasattr(sys.modules[parent], child):
            setattr(sys.modules[parent], child, sys.modules[name])


def _parents(name: str) -> list[str]:
    return [name[:i] for i, letter in enumerate(name) if letter == '.']
