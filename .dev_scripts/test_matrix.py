#!/usr/bin/env python3
"""Run the default tests in every stack that eca_mm supports, and record the results.

Each stack gets a separate environment, `$MATRIX_DIR/<name>` (default: .venv-matrix/<name>, 2 to
6 GB each). The results go to `$MATRIX_DIR/<name>.json` and into the table of docs/compatibility.md.
The script runs before any environment exists, so it uses the standard library alone and writes the
table's lines itself.
"""
import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / 'docs' / 'compatibility.md'
RULE = '| --- ' * 12 + '|'
SHOWN = ('torch', 'torchvision', 'numpy', 'mmengine', 'mmcv', 'mmdet', 'mmpretrain')
OURS = ('-r', 'requirements.txt', '-r', 'requirements/onnx.txt', '-r', 'requirements/events.txt',
        '-r', 'requirements/tests.txt')
LITE = ('-r', 'requirements/lite.txt')
PINNED = (*OURS, *LITE, '-c', 'requirements/constraints.txt')


@dataclass(frozen=True)
class Stack:
    """What to install, in one `pip install` after the other, and in which Python."""

    title: str
    installs: tuple = (PINNED,)
    python: str = '3.11'
    environment: dict = field(default_factory=dict)
    compile_mmcv: bool = False


STACKS = {
    'default': Stack('what `make setup` installs'),
    'openmmlab': Stack(
        "OpenMMLab's last releases, on the PyTorch of their time",
        ((*OURS, *LITE, 'torch==2.1.2', 'torchvision==0.16.2', 'numpy==1.26.4',
          'mmengine==0.10.4', 'mmcv-lite==2.1.0'),)),
    'torch2.4': Stack('the first PyTorch with custom operators',
                      ((*OURS, *LITE, 'torch==2.4.1', 'torchvision==0.19.1'),)),
    'torch2.6': Stack('the first PyTorch whose torch.export takes any size',
                      ((*OURS, *LITE, 'torch==2.6.0', 'torchvision==0.21.0'),)),
    'newest': Stack('the newest of everything', ((*OURS, *LITE),)),
    # Its packages have other names, so our requirements would install the originals too.
    'onedl': Stack(
        'the maintained fork, onedl',
        (('torch==2.12.1', 'torchvision==0.27.1', 'psutil'),
         ('onedl-mmengine==0.10.12', 'onedl-mmcv==2.3.6',
          'onedl-mmdetection==3.5.1', 'onedl-mmpretrain==1.3.6', 'imgaug', 'safetensors',
          '-r', 'requirements/onnx.txt', '-r', 'requirements/events.txt',
          '-r', 'requirements/tests.txt', 'torch==2.12.1')),
        environment={'MMCV_WITH_OPS': '0'}),
    'mmcv-ops': Stack('mmcv with compiled operators', compile_mmcv=True),
    'python3.13': Stack('Python 3.13', python='3.13'),
    'python3.10': Stack('Python 3.10', python='3.10'),
}


def find_python(version: str) -> str | None:
    """Path of a Python of this version that runs, e.g. of '3.13'."""
    check = 'import sys; print("%d.%d" % sys.version_info[:2])'
    for name in (sys.executable, f'python{version}'):
        if shutil.which(name):
            found = subprocess.run([name, '-c', check], capture_output=True, text=True)
            if found.stdout.strip() == version:
                return name
    return None


def install(stack: Stack, venv: Path) -> str | None:
    """Make the environment; return what went wrong, or None."""
    stamp = venv / '.eca_mm-matrix'
    key = json.dumps([stack.installs, stack.environment, stack.compile_mmcv, [
        path.read_text() for path in sorted((ROOT / 'requirements').iterdir())]])
    if not (stamp.is_file() and stamp.read_text() == key):
        base = find_python(stack.python)
        if base is None:
            return f'no Python {stack.python} on this machine'
        pip = [venv / 'bin/python', '-m', 'pip', '--disable-pip-version-check']
        commands = [[base, '-m', 'venv', '--clear', venv]]
        # The first of setuptools that makes wheels by itself, the last with pkg_resources.
        commands += [[*pip, 'install', '-q', *packages]
                     for packages in (('setuptools>=70.1,<81',), *stack.installs)]
        if stack.compile_mmcv:
            commands.append([ROOT / '.dev_scripts/build_mmcv_ops.sh', venv])
        commands.append([*pip, 'install', '-q', '--no-deps', '--no-build-isolation', '-e', '.'])
        environment = {**os.environ, **stack.environment}
        for command in commands:
            if subprocess.run(command, cwd=ROOT, env=environment).returncode:
                return f'`{" ".join(map(str, command[-6:]))}` failed'
        stamp.write_text(key)
    return None


def versions(venv: Path) -> dict:
    """The versions that are installed, of what the table shows."""
    listed = json.loads(subprocess.run(
        [venv / 'bin/python', '-m', 'pip', '--disable-pip-version-check', 'list', '--format=json'],
        check=True, capture_output=True, text=True).stdout)
    names = {'mmcv-lite': 'mmcv', 'onedl-mmcv': 'mmcv', 'onedl-mmengine': 'mmengine',
             'onedl-mmdetection': 'mmdet', 'onedl-mmpretrain': 'mmpretrain'}
    found = {names.get(item['name'].lower(), item['name'].lower()):
             item['version'] + (' (lite)' if item['name'] == 'mmcv-lite' else '')
             for item in listed}
    return {name: found[name] for name in SHOWN}


def run(name: str, folder: Path, pytest_args: list) -> dict:
    """Install a stack, run its tests and write down how they went."""
    stack, venv, report = STACKS[name], folder / name, folder / f'{name}.xml'
    result = {'title': stack.title, 'python': stack.python,
              'date': datetime.date.today().isoformat(), 'problem': install(stack, venv)}
    if result['problem'] is None:
        result['versions'] = versions(venv)
        report.unlink(missing_ok=True)
        subprocess.run([venv / 'bin/python', '-m', 'pytest', '-m', 'not slow', '-q', '-ra',
                        '-n', os.environ.get('WORKERS', '2'), '--dist', 'loadfile',
                        '--no-loadscope-reorder', f'--junitxml={report}', *pytest_args], cwd=ROOT,
                       env={**os.environ, 'PATH': f'{venv}/bin:{os.environ["PATH"]}'})
        if report.is_file():
            result.update(outcome(report))
        else:
            result['problem'] = 'the tests did not finish'
    (folder / f'{name}.json').write_text(json.dumps(result, indent=2) + '\n')
    return result


def outcome(report: Path) -> dict:
    """Counts and names of failed tests from pytest's XML."""
    suite = ElementTree.parse(report).getroot().find('testsuite')
    count = {key: int(suite.get(key)) for key in ('tests', 'failures', 'errors', 'skipped')}
    failed = count['failures'] + count['errors']
    names = [f'{case.get("classname")}::{case.get("name")}' for case in suite.iter('testcase')
             if case.find('failure') is not None or case.find('error') is not None]
    return {'passed': count['tests'] - failed - count['skipped'], 'failed': failed,
            'skipped': count['skipped'], 'seconds': round(float(suite.get('time'))),
            'failures': names}


def row(name: str, result: dict) -> str:
    """The table's line for a result."""
    found = [result.get('versions', {}).get(package, '') for package in SHOWN]
    if result['problem']:
        said = f'not run: {result["problem"]}'
    else:
        said = f'{result["passed"]} passed, {result["failed"]} failed, {result["skipped"]} skipped'
    cells = [result['title'], f'`{name}`', result['python'], *found, result['date'], said]
    return f'| {" | ".join(cells)} |'


def update(page: str, lines: dict) -> str:
    """Put lines, by name of the stack, into the page's table in place of earlier ones."""
    head, rule, table = page.partition(RULE)
    kept = {match[1]: match[0] for match in re.finditer(r'^\| [^|]+ \| `(.+?)` \|.*$', table, re.M)}
    kept.update(lines)
    after = re.sub(r'\A(\n?\|.*)*\n?', '', table)
    return '\n'.join([head + rule, *(kept[name] for name in STACKS if name in kept)]) + '\n' + after


def main() -> int:
    """Run the stacks named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='example: .dev_scripts/test_matrix.py openmmlab --pytest-args="-x tests/layers"')
    parser.add_argument('stacks', nargs='*', metavar='STACK',
                        help=f'which ones (default: all): {", ".join(STACKS)}')
    parser.add_argument('--install-only', action='store_true', help='make the environments')
    parser.add_argument('--pytest-args', default='', help='for pytest; the page is not updated')
    args = parser.parse_args()
    unknown = set(args.stacks) - set(STACKS)
    if unknown:
        parser.error(f'no stack {", ".join(sorted(unknown))}; there are {", ".join(STACKS)}')

    folder = Path(os.environ.get('MATRIX_DIR', ROOT / '.venv-matrix')).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    results = []
    for name in args.stacks or STACKS:
        print(f'==> {name}: {STACKS[name].title}', flush=True)
        if args.install_only:
            problem = install(STACKS[name], folder / name)
            results.append({'problem': problem})
            print(problem or 'ready')
            continue
        results.append(run(name, folder, args.pytest_args.split()))
        line = row(name, results[-1])
        print(line, flush=True)
        if not args.pytest_args:
            PAGE.write_text(update(PAGE.read_text(), {name: line}))
    return any(result['problem'] or result.get('failed') for result in results)


if __name__ == '__main__':
    sys.exit(main())
