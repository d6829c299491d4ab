"""mmengine's file backend, with writes that leave no half files."""
import functools
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.fileio import LocalBackend, io, register_backend

from eca_mm.utils.atomic_files import write_atomically


class AtomicLocalBackend(LocalBackend):
    """mmengine's local file backend with writes that cannot leave half a file.

    Registered as mmengine's ``'local'`` backend, so everything that mmengine, mmdet and mmpretrain
    write through :mod:`mmengine.fileio` (checkpoints and dumped predictions) is covered.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file, see :func:`write_atomically`."""
        write_atomically(obj, filepath)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text to a file, see :func:`write_atomically`."""
        write_atomically(obj.encode(encoding), filepath)


def install() -> None:
    """Register :class:`AtomicLocalBackend` as mmengine's backend for local files."""
    register_backend('local', AtomicLocalBackend, force=True, prefixes='')
    # Backends created earlier would keep writing in place.
    io.backend_instances.clear()


@functools.cache
def dump_whole_configs() -> None:
    """Have mmengine format a config before it opens the file, and write that completely."""
    dump = Config.dump

    @functools.wraps(dump)
    def dump_whole(self: Config, file: str | Path | None = None) -> Any:
        if file is None or not str(file).endswith('.py'):
            return dump(self, file)
        return write_atomically(self.pretty_text.encode(), file)

    Config.dump = dump_whole
