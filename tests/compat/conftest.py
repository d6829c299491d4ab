"""Test modules import mmcv.ops at their top: without compiled operators eca_mm comes first."""
import eca_mm  # noqa: F401
