"""Testing a model in its inference form."""
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from .fuse import fuse


@HOOKS.register_module()
class FuseHook(Hook):
    """Put the model's exact inference form (:func:`eca_mm.deploy.fuse`) in its place while testing.

    It works on what other hooks made of the model before a test, averaged weights for instance.
    Afterwards the runner has its own model again.
    """

    priority = 'LOWEST'

    def before_test_epoch(self, runner: Runner) -> None:
        """Exchange the model.

        Args:
            runner (Runner): The runner that tests; its model is kept until the test's end.
        """
        runner.model.eval()
        self._kept = _inner(runner)
        _exchange(runner, fuse(self._kept))

    def after_test_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Put the model back.

        Args:
            runner (Runner): The runner that has tested.
            metrics (dict, optional): What the test found.
        """
        _exchange(runner, self._kept)
        del self._kept


def _inner(runner: Runner) -> nn.Module:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _exchange(runner: Runner, model: nn.Module) -> None:
    if is_model_wrapper(runner.model):
        runner.model.module = model
    else:
        runner.model = model
