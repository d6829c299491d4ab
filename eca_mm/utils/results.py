"""Figures as a JSON file."""
import os
import time
from pathlib import Path

import mmengine

from .atomic_files import write_atomically
from .errors import UserError
from .outputs import check_output


def write_results(figures: dict | list, path: str, overwrite: bool = False) -> None:
    """Write results as JSON, completely or not at all.

    Args:
        figures (dict | list): Names and values, of JSON's types or numpy's.
        path (str): File to write.
        overwrite (bool): Whether a file there may be replaced. Defaults to False.

    Raises:
        UserError: If there is such a file.
        OSError: If it cannot be written.
    """
    check_output(path, overwrite)
    try:
        text = mmengine.dump(figures, file_format='json', indent=2)
    except TypeError as error:
        raise UserError(f'{path} was not written: the figures hold something that JSON has no '
                        f'type for ({error}).') from error
    write_atomically(f'{text}\n'.encode(), path)


def add_results(figures: dict | list, folder: str | Path, name: str) -> None:
    """Write results as JSON into one of our folders; those of an earlier run are kept beside them.

    Args:
        figures (dict | list): As for :func:`write_results`.
        folder (str | Path): A work directory.
        name (str): Name of the file; an older one gets the time it was written into its name.

    Raises:
        OSError: If it cannot be written.
    """
    path = Path(folder, name)
    set_aside(path)
    write_results(figures, os.fspath(path))


def set_aside(path: Path) -> None:
    """Rename a file, or a link, so that another one can take its name.

    Args:
        path (Path): The file, if there is one; gets the time it was written into its name.
    """
    if not os.path.lexists(path):
        return
    written = time.strftime('%Y%m%d_%H%M%S', time.localtime(path.lstat().st_mtime))
    kept, count = path.with_name(f'{path.stem}_{written}{path.suffix}'), 1
    while os.path.lexists(kept):
        count += 1
        kept = path.with_name(f'{path.stem}_{written}_{count}{path.suffix}')
    os.rename(path, kept)
