"""Whether what a tool makes may be written where it should go."""
import os

from .errors import UserError


def check_output(path: str, overwrite: bool, option: str = '--overwrite') -> None:
    """Make sure, before the work is done, that its result can be written.

    Args:
        path (str): A file or a folder to write.
        overwrite (bool): Whether a file or a non-empty folder there may be replaced.
        option (str): The tool's option that allows it. Defaults to ``'--overwrite'``.

    Raises:
        UserError: If something is there already or the place cannot be written to.
    """
    if os.path.lexists(path) and not overwrite and not (os.path.isdir(path)
                                                        and not os.listdir(path)):
        raise UserError(f'{path} exists already; give {option} to replace it, or another path.')
    folder = os.path.dirname(os.path.abspath(path))
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if not (os.path.isdir(folder) and os.access(folder, os.W_OK)):
        raise UserError(f'{path} cannot be written, since {folder} is no folder that can be '
                        'written to; choose another path.')
