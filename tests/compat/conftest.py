"""Test modules import mmcv.ops at their top: without compiled operators eca_mm comes first."""
import importlib.util
from pathlib import Path

import pytest

import eca_mm

PACKAGE = Path(eca_mm.__file__).parent


@pytest.fixture
def stand_in(monkeypatch):
    """The stand-in, with mmcv's functions on it even where compiled operators are installed."""
    spec = importlib.util.spec_from_file_location(
        'stand_in', PACKAGE / 'compat' / 'mmcv_ext.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ('nms', 'roi_align', 'focal_loss'):
        monkeypatch.setattr(importlib.import_module(f'mmcv.ops.{name}'), 'ext_module', module)
    return module
