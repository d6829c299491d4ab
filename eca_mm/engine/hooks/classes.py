"""Check before the first iteration that all parts mean the same classes."""
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from eca_mm.datasets.class_checks import check_heads, check_metric, check_splits


@HOOKS.register_module()
class CheckClassesHook(Hook):
    """Compare heads, data sets, evaluators and the checkpoint before they are used.

    ``num_classes`` of each head must be the number of classes, all splits (and the data that a
    tested checkpoint was trained on) must name the same classes in the same order, and where mmdet
    numbers labels by an annotation file its order must be that of the names.

    Raises:
        UserError: Before the first iteration.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._trained: dict | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note the classes of a checkpoint.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): The checkpoint.
        """
        meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
        # Early versions of MMDetection 3 wrote CLASSES.
        names = next((value for key, value in meta.items() if key.lower() == 'classes'), None)
        self._trained = {'classes': names} if isinstance(names, list | tuple) else None

    def before_train(self, runner: Runner) -> None:
        """Check the training data, and validation against it.

        Args:
            runner (Runner): The runner.
        """
        train = runner.train_dataloader.dataset
        check_heads(_model(runner), train)
        check_metric(None, train, 'train_dataloader.dataset')
        if runner._val_loop is not None:
            check_splits(train, runner.val_dataloader.dataset, 'val')
            _check_evaluator(runner.val_loop, 'val')

    def before_val(self, runner: Runner) -> None:
        """Check the data of a validation without training.

        Args:
            runner (Runner): The runner.
        """
        if runner._train_loop is None or isinstance(runner._train_loop, dict):
            self._check_alone(runner, runner.val_loop, 'val')

    def before_test(self, runner: Runner) -> None:
        """Check the test data against the model and the checkpoint.

        Args:
            runner (Runner): The runner.
        """
        self._check_alone(runner, runner.test_loop, 'test')

    def _check_alone(self, runner: Runner, loop: Any, split: str) -> None:
        check_heads(_model(runner), loop.dataloader.dataset)
        if self._trained:
            check_splits(self._trained, loop.dataloader.dataset, split)
        _check_evaluator(loop, split)


def _model(runner: Runner) -> Any:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _check_evaluator(loop: Any, split: str) -> None:
    for metric in getattr(getattr(loop, 'evaluator', None), 'metrics', None) or [None]:
        check_metric(metric, loop.dataloader.dataset, f'{split}_evaluator')
