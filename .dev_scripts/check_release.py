#!/usr/bin/env python3
"""Check that a tag, the package and the changelog name the same version.

usage: check_release.py v1.2.3
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def problem(tag: str, root: Path = ROOT) -> str | None:
    """Find what keeps a tag from being released.

    Args:
        tag (str): Name of the tag, e.g. ``v1.2.3``.
        root (Path): The checkout.

    Returns:
        str | None: One sentence; None if the tag can be released.
    """
    match = re.search(r"__version__ = '(.+)'", (root / 'eca_mm' / 'version.py').read_text())
    version = match[1] if match else None
    if tag != f'v{version}':
        return f'The tag is {tag}, but eca_mm/version.py has {version}: it must be v{version}.'
    changelog = (root / 'CHANGELOG.md').read_text()
    if not re.search(rf'^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$', changelog, re.M):
        return (f'CHANGELOG.md has no section "## [{version}] - YYYY-MM-DD": rename "Unreleased" '
                'and begin a new one.')
    return None


if __name__ == '__main__':
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(problem(sys.argv[1]))
