"""The addresses of the project, which setup.cfg alone defines."""
from configparser import ConfigParser
from pathlib import Path

_SETTINGS = ConfigParser(interpolation=None)
_SETTINGS.read(Path(__file__).resolve().parents[2] / 'setup.cfg', encoding='utf-8')

REPOSITORY = _SETTINGS['metadata']['url']
"""str: The repository's page, without a slash at the end."""

PROJECT_URLS = dict(
    (part.strip() for part in line.split('=', 1))
    for line in _SETTINGS['metadata']['project_urls'].strip().splitlines())
"""dict[str, str]: Addresses by their names on PyPI, e.g. ``'Documentation'``."""
