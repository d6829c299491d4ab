"""The command ``eca-mm`` or ``python -m eca_mm``: all tools, installed or in a checkout."""
import ast
import runpy
import sys
from pathlib import Path

from eca_mm.utils import grammar
from eca_mm.utils.signatures import nearest
from eca_mm.utils.terminal import printable

FOLDER = Path(__file__).parent / '.mim' / 'tools'
# Shorter names than those of the files.
SHORT = {'check_config': 'check', 'export_onnx': 'export', 'make_shapes_coco': 'make_shapes',
         'quantize_onnx': 'quantize'}
CONVERTERS = {'ecanet': 'ecanet_to_eca_mm', 'timm': 'timm_to_eca_mm',
              'torchvision': 'torchvision_to_eca_mm'}


def tools() -> dict[str, Path]:
    """Find the tools.

    Returns:
        dict[str, Path]: The file of each by its short name, as ``eca-mm`` takes it.
    """
    # launch.py is what the dist_*.sh scripts start.
    files = [path for path in sorted(FOLDER.rglob('*.py')) if path.name != 'launch.py']
    return {SHORT.get(path.stem, path.stem).replace('_', '-'): path for path in files}


def find_tool(name: str) -> Path | None:
    """Find a tool by its name.

    Args:
        name (str): Its short name, the name of its file (``check_config``, ``train.py``) or its
            path below ``tools/``; hyphens and underscores are equivalent.

    Returns:
        Path | None: Its file; None if there is no such tool.
    """
    wanted = name.removeprefix('tools/').removesuffix('.py').replace('_', '-')
    for short, path in tools().items():
        below = path.relative_to(FOLDER).with_suffix('').as_posix().replace('_', '-')
        if wanted in (short, path.stem.replace('_', '-'), below):
            return path
    return None


def listing(program: str) -> str:
    """Describe the tools.

    Args:
        program (str): How this was called.

    Returns:
        str: The page that is printed without arguments.
    """
    lines = [f'usage: {program} TOOL [ARGUMENTS]', '', 'The tools of eca_mm; each has --help with '
             'an example.', '']
    shown = {name: path for name, path in tools().items() if path.stem not in CONVERTERS.values()}
    rows = {name: _summary(path) for name, path in shown.items()}
    rows[f'convert {{{",".join(CONVERTERS)}}}'] = "Convert checkpoints of other projects."
    width = max(map(len, rows)) + 2
    return '\n'.join([*lines, *(f'  {name:{width}}{text}' for name, text in sorted(rows.items()))])


def _summary(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding='utf-8'))) or '').partition('\n')[0]


def main() -> None:
    """Run the tool named on the command line; list all tools without one."""
    program = 'eca-mm' if Path(sys.argv[0]).stem == 'eca-mm' else 'python -m eca_mm'
    name, arguments = (sys.argv[1:2] or [''])[0], sys.argv[2:]
    if name in ('', '-h', '--help'):
        print(listing(program))
        return
    if name == 'convert':
        kind = (arguments[:1] or [''])[0]
        if kind not in CONVERTERS:
            asked = kind in ('-h', '--help')
            print(f'usage: {program} convert {{{",".join(CONVERTERS)}}} SRC DST [OPTIONS]',
                  file=sys.stdout if asked else sys.stderr)
            sys.exit(0 if asked else 2)
        name, arguments, shown = CONVERTERS[kind], arguments[1:], f'convert {kind}'
    else:
        shown = name
    path = find_tool(name)
    if path is None:
        near = nearest(name.replace('_', '-'), tools())
        print(f'There is no tool {printable(name)!r}'
              + (f' (did you mean {near!r}?)' if near else '')
              + f'; {program} without arguments lists them.', file=sys.stderr)
        sys.exit(2)
    grammar.called_as = f'{program} {shown}'
    sys.argv = [str(path), *arguments]
    runpy.run_path(str(path), run_name='__main__')


if __name__ == '__main__':
    main()
