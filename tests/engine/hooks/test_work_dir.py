"""A run whose work directory is removed ends with its state saved."""
import shutil

import pytest
from mmengine.hooks import Hook

from eca_mm.compat import load_checkpoint_file
from eca_mm.engine import CheckedRunner
from eca_mm.utils.errors import UserError
from tests.support.points import EPOCHS, SHUFFLED, config


class Remove(Hook):
    """Removes the work directory in the third iteration."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 2:
            shutil.rmtree(runner.work_dir)


def test_the_state_of_that_moment_is_saved(tmp_path):
    cfg = config(tmp_path / 'run', EPOCHS, SHUFFLED, randomness={'seed': 0})
    cfg.custom_hooks = [{'type': 'KeepWorkDirHook'}]
    runner = CheckedRunner.from_cfg(cfg)
    runner.register_hook(Remove())
    with pytest.raises(UserError, match='was removed .* was saved as iter_3.pth'):
        runner.train()
    assert load_checkpoint_file(tmp_path / 'run/iter_3.pth')['meta']['iter'] == 3
