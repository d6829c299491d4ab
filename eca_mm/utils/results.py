"""Figures as a JSON file."""
import json
import os

from eca_mm.utils.atomic_files import write_atomically
from eca_mm.utils.errors import UserError


def write_results(figures: dict | list, path: str) -> None:
    """Write figures as JSON, whole or not at all.

    An older JSON file of that name is replaced; any other file is more likely a slip of the
    command line than meant to go.

    Args:
        figures (dict | list): Names and values, of JSON's types.
        path (str): File to write.

    Raises:
        UserError: If ``path`` is an existing file that is not JSON.
        OSError: If it cannot be written.
    """
    check_results(path)
    write_atomically((json.dumps(figures, indent=2) + '\n').encode(), path)


def check_results(path: str) -> None:
    """Check that a file may be written, before the work for it is done.

    Args:
        path (str): File to write.

    Raises:
        UserError: If it is an existing file that is not JSON.
    """
    if os.path.isfile(path) and os.path.getsize(path):
        try:
            with open(path, encoding='utf-8') as stream:
                json.load(stream)
        except ValueError as error:
            raise UserError(f'{path} exists and is no JSON file, so it is left as it is; choose '
                            'another file for --json.') from error
