"""How ``_base_`` lines find configs of packages, and the scope ``eca_mm::``."""
import importlib.util
from pathlib import Path

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
        # The parts of our configs belong to the package of their default_scope.
        return path, None if scope == 'eca_mm' else scope

    Config._get_cfg_path = staticmethod(find_in_own_scope)


def find_bases_by_path() -> None:
    """Have ``package::name`` found below ``.mim/configs`` of the package, where mmengine ends too.

    mmengine asks the metafiles first, all hundred of MMDetection for every base of a config.
    """
    find = Config._get_cfg_path

    def find_by_path(cfg_path: str, filename: str) -> tuple:
        if '::' in cfg_path:
            scope = cfg_path.partition('::')[0]
            _, name = utils._get_package_and_cfg_path(cfg_path)
            spec = importlib.util.find_spec(scope)
            if spec and spec.origin:
                path = Path(spec.origin).parent / '.mim' / 'configs' / name
                if path.is_file():
                    return str(path), scope
        return find(cfg_path, filename)

    Config._get_cfg_path = staticmethod(find_by_path)
