"""Which checkpoint of a work directory training continues from."""
import re
import stat
from pathlib import Path

from eca_mm.compat.safe_load import load_checkpoint_file
from eca_mm.utils.errors import UserError

_SAVED = re.compile(r'(epoch|iter)_(\d+)\.pth')


def latest_checkpoint(work_dir: str | Path) -> str | None:
    """Find the checkpoint that training would continue from.

    Only regular files count. A checkpoint of the directory itself comes before one elsewhere, so
    a copied directory continues from its own.

    Args:
        work_dir (str | Path): A work directory of an earlier run, possibly moved since.

    Returns:
        str | None: The file that the directory's ``last_checkpoint`` names, where it is in the
        directory; else the ``epoch_*.pth`` or ``iter_*.pth`` there of the latest iteration; else
        what ``last_checkpoint`` names elsewhere; None where there is no checkpoint.
    """
    work_dir = Path(work_dir)
    named = _note(work_dir / 'last_checkpoint')
    if named and is_file(work_dir / named.name):
        return str(work_dir / named.name)
    last: dict[str, tuple[int, Path]] = {}
    for path in work_dir.iterdir() if work_dir.is_dir() else ():
        match = _SAVED.fullmatch(path.name)
        if match and is_file(path):
            number, kind = int(match[2]), match[1]
            if number >= last.get(kind, (-1,))[0]:
                last[kind] = number, path
    found = [path for _, path in last.values()]
    if len(found) > 1:
        found.sort(key=_iteration)
    if found:
        return str(found[-1])
    return str(named) if named and is_file(named) else None


def is_file(path: Path) -> bool:
    """Whether a path is a regular file, or a link to one, that can be read without waiting."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _note(path: Path) -> Path | None:
    """The checkpoint that mmengine recorded; None if the record is not usable."""
    if not is_file(path):
        return None
    with path.open('rb') as stream:
        text = stream.read(2**14)
    try:
        name = text.decode().strip()
    except UnicodeDecodeError:
        return None
    return Path(name) if name and name.isprintable() else None


def _iteration(path: Path) -> int:
    """Epochs and iterations are counted in different units; the files know both."""
    try:
        iteration = load_checkpoint_file(path).get('meta', {}).get('iter')
    except (UserError, OSError):
        return -1
    return iteration if isinstance(iteration, int) else -1
