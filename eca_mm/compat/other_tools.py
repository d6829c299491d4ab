"""Tools of MMDetection and MMPretrain, run with eca_mm imported first."""
import importlib.util
import re
import runpy
import sys
from pathlib import Path

from eca_mm.utils.config_names import config_path
from eca_mm.utils.errors import UserError
from eca_mm.utils.signatures import nearest
from eca_mm.utils.terminal import printable, say

PACKAGES = ('mmdet', 'mmpretrain')


def other_tools(package: str) -> dict[str, Path]:
    """Find the tools that a package brings along.

    Args:
        package (str): ``'mmdet'`` or ``'mmpretrain'``.

    Returns:
        dict[str, Path]: Their files, by path below ``tools/`` without the ending.

    Raises:
        UserError: If the package has none, as in an installation from source in place.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(f'{package} is not installed.')
    origin = Path(spec.origin).parent
    # A wheel has them in .mim, a checkout beside the package.
    for folder in (origin / '.mim' / 'tools', origin.parent / 'tools'):
        if (folder / 'train.py').is_file():
            return {path.relative_to(folder).with_suffix('').as_posix(): path
                    for path in sorted(folder.rglob('*.py'))}
    raise UserError(f'{package} is installed without its tools; install its wheel by '
                    f'`pip install {package}`.')


def find_other_tool(package: str, tool: str) -> Path:
    """Find one of a package's tools.

    Args:
        package (str): Whose tool.
        tool (str): The name of its file, or its path below ``tools/``.

    Returns:
        Path: Its file.

    Raises:
        UserError: If there is no such tool.
    """
    known = other_tools(package)
    wanted = tool.removeprefix('tools/').removesuffix('.py')
    matches = [name for name in known if wanted in (name, Path(name).name)]
    # A folder's own tool before those of its sub-folders: browse_dataset before mot/browse_dataset.
    outer = min((name.count('/') for name in matches), default=0)
    matches = [name for name in matches if name.count('/') == outer]
    if len(matches) != 1:
        near = nearest(wanted, known) or nearest(wanted, {Path(name).name for name in known})
        raise UserError(
            f'{package} has several tools {printable(wanted)!r}: {", ".join(matches)}.' if matches
            else f'{package} has no tool {printable(wanted)!r}'
            + (f'; did you mean {near!r}?' if near else '.'))
    return known[matches[0]]


def run_other_tool(package: str, tool: str | None, arguments: list[str]) -> None:
    """Run a tool in this process, in which eca_mm is imported; list all tools without a name.

    Args:
        package (str): Whose tool.
        tool (str | None): The name of its file, or its path below ``tools/``.
        arguments (list[str]): Its arguments. ``PACKAGE::FOLDER/NAME.py`` becomes the path of that
            config.

    Raises:
        UserError: If there is no such tool, or no such config.
    """
    if tool is None:
        say('\n'.join(other_tools(package)))
        return
    path = find_other_tool(package, tool)
    sys.argv = [str(path), *(config_path(argument) if re.match(r'\w+::', argument) else argument
                             for argument in arguments)]
    # Some import modules that lie beside them.
    sys.path.insert(0, str(path.parent))
    runpy.run_path(str(path), run_name='__main__')
