"""What the OpenMMLab stack needs to run on today's torch; nothing here knows about attention."""
import functools
import warnings

# mmengine imports it several times, and no user of ours can do anything about that.
warnings.filterwarnings('ignore', 'pkg_resources is deprecated', UserWarning)

from . import versions  # noqa: E402

# Before the imports below, which may be the ones that a wrong combination breaks.
versions.check(versions.installed())

from . import checkpoint_loading, config_scope, data_files, file_backend, imports, ops  # noqa: E402
from .safe_load import load_checkpoint_file  # noqa: E402

__all__ = ['install', 'load_checkpoint_file']


@functools.cache
def install():
    """Makes the installed stack usable; further calls do nothing.

    Supplies ``mmcv._ext`` where mmcv has no compiled operators, repairs what was imported without
    them, makes mmengine load checkpoints without running code from them and write files whole or
    not at all, and registers the config scope ``eca_mm::``. (Importing this package has checked the
    installed versions.)

    Raises:
        UserError: If torchvision or compiled mmcv do not work with torch; says what to install.
    """
    if ops.install():
        imports.repair()
    checkpoint_loading.install()
    checkpoint_loading.keep_own_config()
    checkpoint_loading.read_config_of_checkpoint()
    data_files.load_yaml_safely()
    file_backend.install()
    config_scope.install()
