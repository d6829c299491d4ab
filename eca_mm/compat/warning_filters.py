"""Warnings that users of this package cannot act on."""
import warnings


def ignore_pkg_resources() -> None:
    """Silence the announcement that setuptools will remove ``pkg_resources``."""
    warnings.filterwarnings('ignore', 'pkg_resources is deprecated', UserWarning)
