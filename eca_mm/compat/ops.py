"""Puts a stand-in for ``mmcv._ext`` in place where mmcv has no compiled operators.

Compiled ones stay, except that two get their arguments in a layout that they can read.
"""
import functools
import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from torch import Tensor

from eca_mm.utils.errors import UserError

NAME = 'mmcv._ext'


def install() -> bool:
    """Supplies ``mmcv._ext`` unless a compiled one is installed.

    Returns:
        bool: Whether the stand-in was put in place by this call.

    Raises:
        UserError: If torchvision has no working operators, or the compiled ``mmcv._ext`` does not
            load with this torch.
    """
    _check_torchvision()
    import mmcv
    import torch

    if importlib.util.find_spec(NAME):
        try:
            _adapt(importlib.import_module(NAME))
        except (ImportError, OSError) as error:
            raise UserError(
                f'The compiled operators of mmcv {mmcv.__version__} do not load with torch '
                f'{torch.__version__} ({error}): build them again with `make mmcv-ops`, or '
                'replace them by `pip uninstall mmcv` and `pip install mmcv-lite==2.1.0`.'
            ) from error
        return False
    # A module loaded from a file: mmcv and mmengine look for its spec and its loader.
    spec = importlib.util.spec_from_file_location(NAME, Path(__file__).with_name('mmcv_ext.py'))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[NAME] = mmcv._ext = module
    return True


def _adapt(operators: Any) -> None:
    """Fixes what mmcv's compiled operators do with channels_last feature maps and doubles."""
    align, nms = operators.roi_align_forward, operators.nms

    @functools.wraps(align)
    def roi_align_forward(input: Tensor, *args, **kwargs) -> None:
        # It reads the memory as if it were contiguous, and pools other pixels silently.
        return align(input.contiguous(), *args, **kwargs)

    @functools.wraps(nms)
    def nms_in_single(boxes: Tensor, scores: Tensor, *args, **kwargs) -> Tensor:
        # It has no double precision; single is what mmcv compares in, and indices come back.
        return nms(boxes.float(), scores.float(), *args, **kwargs)

    if not hasattr(align, '__wrapped__'):
        operators.roi_align_forward, operators.nms = roi_align_forward, nms_in_single


def _check_torchvision() -> None:
    """Importing torchvision fails, or leaves its operators out, if built for another torch."""
    import torch
    try:
        importlib.import_module('torchvision')
        torch.ops.torchvision.nms, torch.ops.torchvision.roi_align  # noqa: B018
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f'The installed torchvision does not work with torch {torch.__version__} ({reason}): '
            'install the pair that belongs together, for example with '
            '`pip install -U torch torchvision`.') from error
