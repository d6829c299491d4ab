"""The versions of everything that eca_mm runs on, for bug reports."""
import importlib.metadata
import importlib.util
from pathlib import Path

from mmengine.utils.dl_utils import collect_env

from eca_mm.version import __version__

# Distributions in addition to those that mmengine reports.
_PACKAGES = ('mmcv', 'mmcv-lite', 'onedl-mmengine', 'onedl-mmcv', 'mmdet', 'onedl-mmdetection',
             'mmpretrain', 'onedl-mmpretrain', 'transformers', 'numpy', 'opencv-python',
             'opencv-python-headless', 'pycocotools', 'timm', 'onnx', 'onnxruntime', 'onnxscript',
             'setuptools')


def environment() -> dict[str, str]:
    """Collect the versions of the stack.

    Returns:
        dict[str, str]: eca_mm with its place and whether mmcv has compiled operators, what
        mmengine reports about Python, PyTorch, GPUs and compilers, and other packages' versions.
    """
    found = {'eca_mm': f'{__version__} ({Path(__file__).parents[1]})'}
    found |= {name: str(value) for name, value in collect_env().items()
              if name not in ('numpy_random_seed', 'PyTorch compiling details')}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    spec = importlib.util.find_spec('mmcv')
    compiled = bool(spec and spec.origin and any(Path(spec.origin).parent.glob('_ext*')))
    found['mmcv operators'] = ('compiled' if compiled else
                               "torchvision's in their place (eca_mm.compat.ops)")
    return found
