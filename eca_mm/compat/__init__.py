"""Changes that let the OpenMMLab stack run on today's torch; none concerns attention.

Nothing is changed by importing a module of this folder: :func:`install`, which ``import eca_mm``
calls, makes the changes that ``README.md`` lists.
"""
import functools
from typing import Any

from . import versions, warning_filters

# Before the imports below, which may be the ones that a wrong combination breaks.
versions.check(versions.installed())

__all__ = ['install', 'load_checkpoint_file']


@functools.cache
def install() -> None:
    """Make the installed stack usable; further calls do nothing.

    ``README.md`` of this folder lists what is changed and why. (Importing this package has checked
    the installed versions.)

    Raises:
        UserError: If torchvision or compiled mmcv do not work with torch; says what to install.
    """
    # Before mmengine is imported, which causes them.
    warning_filters.ignore_pkg_resources()
    from . import changes
    changes.install()


def __getattr__(name: str) -> Any:
    if name == 'load_checkpoint_file':
        from .safe_load import load_checkpoint_file
        return load_checkpoint_file
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
