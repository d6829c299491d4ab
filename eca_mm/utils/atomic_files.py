"""Write files completely or not at all."""
import os
import stat
from pathlib import Path


def write_atomically(data: bytes, path: str | Path) -> None:
    """Write a file so that ``path`` holds either its old content or all of ``data``.

    Args:
        data (bytes): The content.
        path (str | Path): The file. Its folder is made when missing; a symbolic link is followed.

    Raises:
        OSError: When the data cannot be written, with ``path`` as its ``filename``. No temporary
            file is left behind.
    """
    target = os.path.realpath(path)
    temporary = os.path.join(os.path.dirname(target), f'.{os.path.basename(target)}.{os.getpid()}')
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.exists(target) and not os.path.isfile(target):
            # A pipe or a device has no old content to keep, and must not be replaced by a file.
            with open(target, 'wb') as stream:
                stream.write(data)
            return
        try:
            with open(temporary, 'wb') as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            if os.path.exists(target):
                # Permissions stay, but the right to run as its owner does not pass to new content.
                os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode) & 0o777)
            os.replace(temporary, target)
        except BaseException:
            if os.path.exists(temporary):
                os.remove(temporary)
            raise
    except OSError as error:
        # A failed write() names no file.
        raise OSError(error.errno, error.strerror, str(path)) from error
