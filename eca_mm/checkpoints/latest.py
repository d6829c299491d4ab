"""Which checkpoint of a work directory training goes on from."""
from pathlib import Path


def latest_checkpoint(work_dir: str | Path) -> str | None:
    """Find the checkpoint that training would go on from.

    Args:
        work_dir (str | Path): A work directory of an earlier run, possibly moved since.

    Returns:
        str | None: What the directory's ``last_checkpoint`` names, or the newest ``epoch_*.pth``
        or ``iter_*.pth`` where that is absent, empty or stale; None where there is no checkpoint.
    """
    work_dir = Path(work_dir)
    note = work_dir / 'last_checkpoint'
    named = note.read_text().strip() if note.is_file() else ''
    for path in (Path(named), work_dir / Path(named).name):
        if named and path.is_file():
            return str(path)
    saved = [*work_dir.glob('epoch_*.pth'), *work_dir.glob('iter_*.pth')]
    return str(max(saved, key=lambda path: path.stat().st_mtime)) if saved else None
