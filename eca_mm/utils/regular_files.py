"""Reading files that a user or another file names."""
import errno
import os
import stat


def check_regular(path: str | os.PathLike) -> None:
    """Make sure that opening a file does not wait forever, nor reading it never end.

    Args:
        path (str | os.PathLike): A path; one that does not exist passes.

    Raises:
        OSError: If it is a pipe, a device or a socket.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, 'It is a pipe or a device, not a file', os.fspath(path))


def read_text(path: str | os.PathLike, limit: int = 2**30) -> str:
    """Read a text file in UTF-8.

    Args:
        path (str | os.PathLike): The file.
        limit (int): Bytes that it may have. Defaults to 1 GB.

    Returns:
        str: Its text.

    Raises:
        OSError: If it cannot be read, is a pipe or a device, or has more bytes.
        UnicodeError: If it is not text.
    """
    check_regular(path)
    with open(path, encoding='utf-8') as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limit:
            raise OSError(errno.EFBIG, f'It has {size / 2**20:.1f} MB, which is too large',
                          os.fspath(path))
        return stream.read()
