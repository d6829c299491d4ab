"""One run at a time in a work directory."""
import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.logging import print_log

from eca_mm.utils.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = '.eca_mm_lock'


@contextlib.contextmanager
def locked(work_dir: str | Path) -> Iterator[None]:
    """Hold a work directory for the training of this process.

    A lock of the operating system (POSIX, which NFS passes on) on a file in the directory: it is
    freed when the process ends, however it ends. Of several processes of a run the first holds it.

    Args:
        work_dir (str | Path): The directory.

    Yields:
        None: While the lock is held.

    Raises:
        UserError: If another process trains there, naming it.
    """
    path = Path(work_dir) / NAME
    descriptor = _take(path) if is_main_process() and fcntl is not None else None
    try:
        yield
    finally:
        if descriptor is not None:
            # Before it is freed: the next run makes a new file.
            path.unlink(missing_ok=True)
            os.close(descriptor)


def holder(work_dir: str | Path) -> str | None:
    """The process that trains in a work directory.

    Args:
        work_dir (str | Path): The directory.

    Returns:
        str | None: The process; None if it is this one, or nobody.
    """
    path = Path(work_dir) / NAME
    if fcntl is None or path.is_symlink() or not path.is_file():
        return None
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return _name(path)
    finally:
        # Frees every lock that this process has on the file: it must have none.
        os.close(descriptor)
    return None


def _take(path: Path) -> int | None:
    while True:
        descriptor = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            if descriptor is None:
                raise
            os.close(descriptor)
            raise UserError(
                f'{path.parent} is the work directory of a training that is still running '
                f'({_name(path)}): wait for it, end it, or choose another by --work-dir.'
            ) from error
        except OSError as error:
            if descriptor is None:
                raise
            # Some file systems have no locks.
            os.close(descriptor)
            print_log(f'{path.parent} cannot be locked ({error.strerror}): see to it that no other '
                      'run writes there.', logger='current')
            return None
        try:
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                break
        except FileNotFoundError:
            pass
        # Whoever held it has removed it just now.
        os.close(descriptor)
    owner = {'host': socket.gethostname(), 'pid': os.getpid(),
             'since': time.strftime('%Y-%m-%d %H:%M:%S')}
    # Another name of a file is not ours to write to, and a full disk does not matter here.
    with contextlib.suppress(OSError):
        if os.fstat(descriptor).st_nlink > 1:
            return descriptor
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(owner).encode())
    return descriptor


def _name(path: Path) -> str:
    try:
        owner = json.loads(path.read_bytes()[:1000])
        return f'process {owner["pid"]} on {owner["host"]}, since {owner["since"]}'
    except (OSError, ValueError, KeyError, TypeError):
        return 'an unnamed process'
