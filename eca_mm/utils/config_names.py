"""Configs by the name of their package: ``eca_mm::FOLDER/NAME.py``."""
import importlib.util
import re
from pathlib import Path

from .errors import UserError
from .signatures import nearest
from .terminal import printable

_NAME = re.compile(r'([A-Za-z_]\w*)::(.+)')


def config_path(name: str) -> str:
    """Find the file of a config.

    Args:
        name (str): A path, or ``PACKAGE::FOLDER/NAME.py`` for a config that an OpenMMLab package
            (``eca_mm``, ``mmdet``, ``mmpretrain`` ...) is installed with; the ending may be left
            out.

    Returns:
        str: A path; one that was given is returned as it is.

    Raises:
        UserError: If there is no such package, or it has no such config.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return name
    package, inner = match.groups()
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(f'{printable(name)} names a config of {package}, which is not installed.')
    folder = Path(spec.origin).parent / '.mim' / 'configs'
    path = folder / (inner if inner.endswith(('.py', '.yml', '.yaml', '.json')) else f'{inner}.py')
    if not path.is_file():
        there = {other.relative_to(folder).as_posix() for other in folder.rglob('*.py')}
        stems = {Path(other).stem: other for other in sorted(there)}
        near = nearest(path.stem, stems)
        raise UserError(f'{package} has no config {printable(inner)}'
                        + (f'; did you mean {package}::{stems[near]}?' if near else '.'))
    return str(path)
