"""The config scope ``eca_mm::`` for ``_base_`` lines and ``mmengine.hub``."""
from mmengine.config import utils


def install():
    """Registers ``eca_mm::``, so that ``_base_ = ['eca_mm::faster_rcnn/...']`` finds our configs.

    The table maps to the module's name on purpose: a lookup by the distribution's name,
    ``eca-net-mm``, finds wheels but neither editable installs nor a plain ``PYTHONPATH``.
    """
    utils.MODULE2PACKAGE['eca_mm'] = 'eca_mm'
