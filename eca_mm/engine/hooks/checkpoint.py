"""An old checkpoint is removed when the new one is safe."""
import inspect
import itertools
import os
import shutil
import time
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from eca_mm.compat.file_backend import AtomicLocalBackend
from eca_mm.version import __version__


class _LateRemoval(AtomicLocalBackend):
    """A local backend whose removals wait until they are released."""

    def __init__(self) -> None:
        self._waiting: list = []

    def remove(self, filepath: str | Path) -> None:
        """Record a file for removal."""
        self._waiting.append(filepath)

    def release(self, keep: set) -> None:
        """Remove the recorded files except those to keep."""
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

    Raises:
        TypeError: If an argument is not one of these, which mmengine notices when it saves.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        for name in set(self.args) - set(inspect.signature(Runner.save_checkpoint).parameters):
            raise TypeError(f'SafeCheckpointHook.__init__() got an unexpected keyword argument '
                            f'{name!r}')

    def before_train(self, runner: Runner) -> None:
        """Set earlier checkpoints aside and prepare saving."""
        super().before_train(runner)
        backend: Any = self.file_backend
        if type(backend) is not AtomicLocalBackend:
            return
        self.file_backend = _LateRemoval()
        if is_main_process():
            self._remove_halves()
            if runner.iter == 0:
                self._set_aside(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note the version of this package in the checkpoint.

        Args:
            runner (Runner): The running runner.
            checkpoint (dict): What is about to be saved.
        """
        checkpoint['meta'].setdefault('eca_mm_version', __version__)

    def _remove_halves(self) -> None:
        """Remove what a process left that was killed while it wrote a checkpoint."""
        for path in Path(self.out_dir).glob('.*.pth.*'):
            if path.suffix[1:].isdigit():
                path.unlink()

    def _set_aside(self, runner: Runner) -> None:
        pattern = self.filename_tmpl.format('*')
        out = Path(self.out_dir)
        earlier = [*out.glob(pattern), *out.glob(f'best_*_{pattern}'),
                   *Path(runner.work_dir).glob('last_checkpoint')]
        if earlier:
            folder = _new_folder(out / time.strftime('earlier_%Y%m%d_%H%M%S'))
            for path in earlier:
                shutil.move(path, folder / path.name)
            runner.logger.warning(
                f'{out} holds {len(earlier)} files of an earlier run, which is not resumed: '
                f'they are now in {folder}.')

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: Any) -> None:
        super()._save_checkpoint_with_step(runner, step, meta)
        self._release()

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        super()._save_best_checkpoint(runner, metrics)
        self._release()

    def _release(self) -> None:
        # A validation without training has none.
        if isinstance(getattr(self, 'file_backend', None), _LateRemoval):
            best = {getattr(self, 'best_ckpt_path', None),
                    *getattr(self, 'best_ckpt_path_dict', {}).values()}
            self.file_backend.release({self.last_ckpt} | best)


def _new_folder(path: Path) -> Path:
    """Make a folder with an unused name: clocks are coarse, and may be set back."""
    for number in itertools.count(1):
        folder = path if number == 1 else path.with_name(f'{path.name}_{number}')
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError('unreachable')
