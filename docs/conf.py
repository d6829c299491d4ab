"""Settings of the documentation site: `make docs` builds it into docs/_build/html."""
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / '_ext'), str(HERE.parent)]

from project_urls import REPOSITORY  # noqa: E402

import eca_mm  # noqa: E402  first: it makes mmdet importable without compiled mmcv

project = 'eca_mm'
author = 'The eca_mm authors'
project_copyright = author
version = release = eca_mm.__version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'sphinx.ext.viewcode',
              'api_pages', 'model_zoo_page']
exclude_patterns = ['_build', '_ext']
myst_heading_anchors = 4
myst_enable_extensions = ['colon_fence']

autodoc_default_options = {'members': True, 'show-inheritance': True, 'member-order': 'bysource'}
autodoc_typehints_format = 'short'
napoleon_numpy_docstring = False
napoleon_use_rtype = False
# Attributes in a docstring are the fields of its dataclass, not a second description of them.
napoleon_use_ivar = True

html_theme = 'furo'
html_title = f'eca_mm {release}'
html_static_path = ['_static']
html_css_files = ['model_zoo.css']
html_js_files = [('model_zoo.js', {'defer': 'defer'})]
html_theme_options = {
    'source_repository': f'{REPOSITORY}/',
    'source_branch': 'main',
    'source_directory': 'docs/',
}
# Everything that the pages need comes with them.
html_show_sphinx = False


def link_to_repository(text: str) -> str:
    """Turn links that leave docs/ into links to the repository's page.

    Args:
        text (str): A page in Markdown.

    Returns:
        str: The page; links to pages of docs/ are as they were.
    """
    return re.sub(r'\]\((?:\.\./)+(?!docs/)([^)]*)\)',
                  lambda match: f']({html_theme_options["source_repository"]}blob/main/{match[1]})',
                  text)


def _read(app: object, name: str, source: list[str]) -> None:
    source[0] = link_to_repository(source[0])


def _include(app: object, path: Path, name: str, source: list[str]) -> None:
    # The files beside docs/ name its pages by their folder.
    text = re.sub(r'\]\((?!http|#|docs/)([^)]*)\)', r'](../\1)', source[0])
    source[0] = link_to_repository(text.replace('](docs/', ']('))


def setup(app: object) -> None:
    """Connect what rewrites links."""
    app.connect('source-read', _read)
    app.connect('include-read', _include)
