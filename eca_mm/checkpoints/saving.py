"""Checkpoints are written whole or not at all; an old one goes when the new one is safe."""
import os
import shutil
import time
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, io, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS


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
                shutil.copymode(target, temporary)
            os.replace(temporary, target)
        except BaseException:
            if os.path.exists(temporary):
                os.remove(temporary)
            raise
    except OSError as error:
        # A failed write() names no file.
        raise OSError(error.errno, error.strerror, str(path)) from error


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


register_backend('local', AtomicLocalBackend, force=True, prefixes='')
# Backends that were handed out before would go on writing in place.
io.backend_instances.clear()


class _LateRemoval(AtomicLocalBackend):
    """A local backend whose removals wait until they are released."""

    def __init__(self) -> None:
        self._waiting = []

    def remove(self, filepath: str | Path) -> None:
        """Note a file for removal."""
        self._waiting.append(filepath)

    def release(self, keep: set) -> None:
        """Remove the noted files, but for those to keep."""
        while self._waiting:
            path = self._waiting.pop()
            if path not in keep and os.path.exists(path):
                super().remove(path)


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook that never has fewer whole checkpoints than before.

    With ``max_keep_ckpts`` or ``save_best`` the parent removes the old checkpoint first and saves
    then, which loses both when the disk is full. Here the old one goes when the new one is there.
    What a killed process left half-written is removed when the next one starts.
    A fresh run in a work directory with checkpoints of an earlier run sets these aside in
    ``earlier_<time>`` instead of overwriting them one after the other.

    Args:
        **kwargs: All arguments of :class:`mmengine.hooks.CheckpointHook`.
    """

    def before_train(self, runner) -> None:
        """Set earlier checkpoints aside and prepare saving."""
        super().before_train(runner)
        if type(self.file_backend) is not AtomicLocalBackend:
            return
        self.file_backend = _LateRemoval()
        if is_main_process():
            self._remove_halves()
            if runner.iter == 0:
                self._set_aside(runner)

    def _remove_halves(self) -> None:
        """Remove what a process left that was killed while it wrote a checkpoint."""
        for path in Path(self.out_dir).glob('.*.pth.*'):
            if path.suffix[1:].isdigit():
                path.unlink()

    def _set_aside(self, runner) -> None:
        pattern = self.filename_tmpl.format('*')
        out = Path(self.out_dir)
        earlier = [*out.glob(pattern), *out.glob(f'best_*_{pattern}'),
                   *Path(runner.work_dir).glob('last_checkpoint')]
        if earlier:
            folder = out / time.strftime('earlier_%Y%m%d_%H%M%S')
            folder.mkdir()
            for path in earlier:
                shutil.move(path, folder / path.name)
            runner.logger.warning(
                f'{out} holds {len(earlier)} files of an earlier run, which is not resumed: '
                f'they are now in {folder}.')

    def _save_checkpoint_with_step(self, runner, step, meta) -> None:
        super()._save_checkpoint_with_step(runner, step, meta)
        self._release()

    def _save_best_checkpoint(self, runner, metrics) -> None:
        super()._save_best_checkpoint(runner, metrics)
        self._release()

    def _release(self) -> None:
        if isinstance(self.file_backend, _LateRemoval):
            best = {getattr(self, 'best_ckpt_path', None),
                    *getattr(self, 'best_ckpt_path_dict', {}).values()}
            self.file_backend.release({self.last_ckpt} | best)


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
