"""The config scope ``eca_mm::`` for ``_base_`` lines and ``mmengine.hub``."""
from mmengine.config import Config, utils


def install() -> None:
    """Registers ``eca_mm::``, so that ``_base_ = ['eca_mm::faster_rcnn/...']`` finds our configs.

    The table maps to the module's name on purpose: a lookup by the distribution's name,
    ``eca-net-mm``, finds wheels but neither editable installs nor a plain ``PYTHONPATH``.
    """
    utils.MODULE2PACKAGE['eca_mm'] = 'eca_mm'
    find = Config._get_cfg_path

    def find_in_own_scope(cfg_path: str, filename: str) -> tuple:
        path, scope = find(cfg_path, filename)
        # What our configs name is of MMDetection or MMPretrain, as their default_scope says.
        return path, None if scope == 'eca_mm' else scope

    Config._get_cfg_path = staticmethod(find_in_own_scope)
