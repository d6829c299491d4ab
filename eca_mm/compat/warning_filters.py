"""Warnings that a user of this package can do nothing about."""
import warnings


def ignore_pkg_resources() -> None:
    """Silence the announcement that setuptools will remove ``pkg_resources``."""
    warnings.filterwarnings('ignore', 'pkg_resources is deprecated', UserWarning)
