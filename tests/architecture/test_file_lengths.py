"""No Python file is too long to read in one sitting."""
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 300


def too_long(root: Path) -> dict[str, int]:
    """The lines of every Python file above the limit; environments and builds do not count."""
    lengths = {}
    for folder in ('eca_mm', 'tools', 'tests', 'configs', 'docs', '.dev_scripts', '.ci'):
        for path in [*(root / folder).rglob('*.py')]:
            lengths[path.relative_to(root).as_posix()] = len(
                path.read_text(encoding='utf-8').splitlines())
    for path in root.glob('*.py'):
        lengths[path.name] = len(path.read_text(encoding='utf-8').splitlines())
    return {name: length for name, length in lengths.items() if length > LIMIT}


def test_no_file_is_too_long():
    assert too_long(ROOT) == {}


def test_the_limit(tmp_path):
    (tmp_path / 'tools/a').mkdir(parents=True)
    (tmp_path / 'tools/a/x.py').write_text('x = 1\n' * 301)
    (tmp_path / 'setup.py').write_text('x = 1\n' * 302)
    (tmp_path / 'tools/y.py').write_text('x = 1\n' * 300)
    assert too_long(tmp_path) == {'tools/a/x.py': 301, 'setup.py': 302}
