"""The loss on the validation's images."""
import random
from collections import defaultdict
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from torch.utils.data import DataLoader

from eca_mm.datasets.pipelines import rebuild
from eca_mm.datasets.repeatable import seed_generators
from eca_mm.utils.errors import UserError

# Keeps these random numbers apart from those of training.
_VALIDATION = 2**33


@HOOKS.register_module()
class ValLossHook(Hook):
    """Compute the loss of the validation images, with the validation's own pipeline.

    After each validation the model runs over the images once more in ``loss`` mode, in evaluation
    mode and without gradients: BN uses its running statistics and does not change them, and
    training continues with the random numbers that it would have had. The results are metrics of
    the validation like others (``loss`` and its parts, logged as ``val/loss`` ...), so that
    ``save_best='loss'`` works. Each is the mean over the images.

    The annotations must be loaded in the pipeline. Where it loads them after the images were
    resized, as MMDetection's test pipelines do, they are loaded before, so that boxes are where
    the objects are.

    Args:
        interval (int): Compute it in every so manieth validation.
    """

    # Before the hooks that log the metrics and that choose the best checkpoint by them.
    priority = 'HIGHEST'

    def __init__(self, interval: int = 1) -> None:
        if interval < 1:
            raise ValueError(f'interval must be 1 or more, but is {interval}.')
        self.interval, self._count = interval, 0
        self._loader: Any = None

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Add the losses to the metrics.

        Args:
            runner (Runner): The running runner.
            metrics (dict[str, float]): Results of the validation.
        """
        self._count += 1
        if metrics is None or self._count % self.interval:
            return
        if self._loader is None:
            self._loader = self._build(runner)
        losses = self._losses(runner)
        for name in losses:
            # mmengine logs the mean of all values so far of whatever is called a loss.
            runner.message_hub.log_scalars.pop(f'val/{name}', None)
        metrics.update(losses)

    def _build(self, runner: Any) -> DataLoader:
        config = runner.cfg.get('val_dataloader')
        if config is None:
            # A loader that was built by hand.
            return runner.val_dataloader
        return runner.build_dataloader(rebuild(dict(config), _annotations_first), seed=runner.seed)

    @torch.no_grad()
    def _losses(self, runner: Any) -> dict[str, float]:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        training, states = model.training, (
            random.getstate(), np.random.get_state(), torch.get_rng_state())
        model.eval()
        sums: dict[str, float] = defaultdict(float)
        count = 0
        try:
            for index, batch in enumerate(self._loader):
                # Samplers of proposals draw the same in every validation.
                seed_generators(runner.seed, get_rank(), index, _VALIDATION)
                data = model.data_preprocessor(batch, False)
                try:
                    losses = model._run_forward(data, mode='loss')
                except (AttributeError, KeyError) as error:
                    raise UserError(
                        'ValLossHook needs the annotations of the validation images, which '
                        "val_dataloader's pipeline does not give "
                        f'({type(error).__name__}: {error}): add LoadAnnotations there.'
                    ) from error
                size = _images(data)
                count += size
                for name, value in model.parse_losses(losses)[1].items():
                    sums[name] += float(value) * size
        finally:
            model.train(training)
            random.setstate(states[0])
            np.random.set_state(states[1])
            torch.set_rng_state(states[2])
        parts = all_gather_object((dict(sums), count))
        total = sum(number for _, number in parts)
        return {name: sum(values.get(name, 0.) for values, _ in parts) / total for name in sums}


def _annotations_first(node: dict) -> dict:
    steps = node.get('pipeline')
    if isinstance(steps, list | tuple):
        loading = [step for step in steps if isinstance(step, dict) and 'LoadAnnotations' in str(
            step.get('type'))]
        others = [step for step in steps if step not in loading]
        first = 1 + next((i for i, step in enumerate(others) if isinstance(step, dict)
                          and 'LoadImage' in str(step.get('type'))), -1)
        node['pipeline'] = [*others[:first], *loading, *others[first:]]
    return node


def _images(data: Any) -> int:
    """Number of images in a batch: the length of its first tensor or list."""
    parts = data.values() if isinstance(data, dict) else data
    return next((len(part) for part in parts if isinstance(part, torch.Tensor | list)), 1)
