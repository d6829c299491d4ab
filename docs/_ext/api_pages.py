"""A Sphinx extension that writes one page of the API reference for every folder of the package."""
import pkgutil
from importlib import import_module
from pathlib import Path

import eca_mm

# Not for users: what makes other packages usable, and the links to configs and tools.
_HIDDEN = {'compat', 'tools'}


def folders() -> list[str]:
    """Name the folders of the package that have a page.

    Returns:
        list[str]: Their names, sorted.
    """
    return sorted(module.name for module in pkgutil.iter_modules(eca_mm.__path__)
                  if module.ispkg and module.name not in _HIDDEN)


def page(folder: str) -> str:
    """Write the page of a folder.

    Args:
        folder (str): Its name, e.g. ``'layers'``.

    Returns:
        str: reStructuredText with a section for every module.
    """
    package = import_module(f'eca_mm.{folder}')
    parts = [_heading(package.__name__, '='),
             f'.. automodule:: {package.__name__}\n   :no-members:\n']
    for module in pkgutil.walk_packages(package.__path__, f'{package.__name__}.'):
        name = module.name.rpartition('.')[2]
        if not name.startswith('_'):
            parts += [_heading(module.name.removeprefix(f'{package.__name__}.'), '-'),
                      f'.. automodule:: {module.name}\n']
    return '\n'.join(parts)


def _heading(title: str, line: str) -> str:
    return f'{title}\n{line * len(title)}\n'


def write(app: object) -> None:
    """Write all pages into ``docs/_generated/api``, touching none that is as it should be."""
    target = Path(app.srcdir) / '_generated' / 'api'
    target.mkdir(parents=True, exist_ok=True)
    pages = {f'{folder}.rst': page(folder) for folder in folders()}
    for stale in {path.name for path in target.iterdir()} - pages.keys():
        (target / stale).unlink()
    for name, text in pages.items():
        path = target / name
        if not path.is_file() or path.read_text('utf-8') != text:
            path.write_text(text, 'utf-8')


def setup(app: object) -> dict:
    """Register the extension."""
    app.connect('builder-inited', write)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
