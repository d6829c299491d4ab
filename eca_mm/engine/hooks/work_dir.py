"""Notice that the work directory was removed."""
import os
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from eca_mm.utils.errors import UserError


@HOOKS.register_module()
class KeepWorkDirHook(Hook):
    """End training when its work directory was removed, with the state of that moment saved.

    Without it the run would continue: mmengine makes the folder again for the next checkpoint, and
    the loss of the earlier ones goes unnoticed.

    Raises:
        UserError: With the checkpoint that was saved.
    """

    # Before the loggers, which cannot write any more.
    priority = 'VERY_HIGH'

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: Any = None) -> None:
        """Look for the work directory.

        Args:
            runner (Runner): The running runner.
            batch_idx (int): Index of the batch in the epoch.
            data_batch (dict): The batch.
            outputs (dict[str, Tensor | float]): The loss and its parts.
        """
        if not is_main_process() or os.path.isdir(runner.work_dir):
            return
        name = f'iter_{runner.iter + 1}.pth'
        runner.save_checkpoint(runner.work_dir, name, by_epoch=False)
        raise UserError(
            f'The work directory {runner.work_dir} was removed while the run wrote to it, and all '
            f'earlier checkpoints with it; the present state was saved as {name} in a new one: '
            'continue with --resume.')
