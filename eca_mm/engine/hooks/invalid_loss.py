"""Stop a run before its weights become NaN or infinite."""
import functools
import math
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from eca_mm.engine.diagnosis import find_first_invalid, name_images
from eca_mm.utils.errors import UserError


# The second name is that of configs written before 0.2.
@HOOKS.register_module(name=['StopOnInvalidLossHook', 'StopOnInvalidLoss'])
class StopOnInvalidLossHook(Hook):
    """Stop when a loss or a gradient is NaN or infinite, before the weights take the step.

    In a distributed run all processes stop in the same iteration, whichever of them met the
    invalid number. What is left of mixed precision's own skipped steps does not count. Weights
    that became NaN or infinite by a finite gradient are caught when they are about to be saved.

    Args:
        gradients (bool): Whether to look at the gradients, which costs one pass over them in
            every iteration. A step is then left out before its weights are lost, and the origin
            of the invalid number is found in them.

    Raises:
        UserError: With the iteration, where the first invalid number came from (the pixels or
            annotations of an image, a weight, a layer's output, a gradient), the parts of the
            loss and the batch's images.
    """

    priority = 'VERY_HIGH'

    def __init__(self, gradients: bool = True) -> None:
        self.gradients = gradients
        self._bad_gradients: list[str] = []

    def before_train(self, runner: Runner) -> None:
        """Look at the gradients before each step.

        Args:
            runner (Runner): The running runner.
        """
        if not self.gradients:
            return
        wrapper = runner.optim_wrapper
        wrappers = [wrapper] if isinstance(wrapper, OptimWrapper) else [*wrapper.values()]
        names = {value: name for name, value in runner.model.named_parameters()}
        for wrapper in wrappers:
            self._watch(wrapper, names)

    def _watch(self, wrapper: OptimWrapper, names: dict) -> None:
        optimizer, step = wrapper.optimizer, wrapper.optimizer.step

        def check() -> None:
            values = [value for group in optimizer.param_groups for value in group['params']
                      if value.grad is not None]
            # The largest magnitude of each, all in one go.
            if not values or torch.stack([
                    norm.float() for norm in torch._foreach_norm(
                        [value.grad for value in values], math.inf)]).isfinite().all():
                return
            self._bad_gradients += [
                names.get(value, '?').removeprefix('module.') for value in values
                if not value.grad.isfinite().all()]
            for value in values:
                # Nothing is left for the optimizer to do, and no weight is lost.
                value.grad = None

        # Not one of PyTorch's hooks: once PyTorch 2.1 has compiled anything, it calls none of them.
        @functools.wraps(step)
        def checked_step(*args, **kwargs) -> Any:
            check()
            return step(*args, **kwargs)

        optimizer.step = checked_step

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: Any = None) -> None:
        """Check what the iteration has found.

        Args:
            runner (Runner): The running runner.
            batch_idx (int): Index of the batch in the epoch.
            data_batch (dict): The batch, whose data samples know their images.
            outputs (dict[str, Tensor | float]): The loss and its parts.
        """
        losses = {name: float(torch.as_tensor(value).detach())
                  for name, value in (outputs or {}).items() if 'loss' in name}
        bad_loss = not all(map(math.isfinite, losses.values()))
        count = torch.tensor(int(bad_loss or bool(self._bad_gradients)))
        all_reduce(count)
        if not count:
            return
        gradients, self._bad_gradients = self._bad_gradients, []
        origin = find_first_invalid(runner.model, data_batch, runner.optim_wrapper)
        if not origin and gradients:
            origin = f'the gradient of {gradients[0]}' + (
                f' and {len(gradients) - 1} more' if len(gradients) > 1 else '')
        found: str | None = f'{_parts(losses)} on the images {name_images(data_batch)}'
        if origin:
            found = f'{found}, where {origin} is the first that is not finite'
        elif not bad_loss:
            # Another process's gradients are this one's too, but not its images.
            found = None
        # Every process raises the same sentence, so that whoever prints it names all images.
        found = '; '.join(filter(None, all_gather_object(found)))
        raise UserError(
            f'The {"loss" if bad_loss else "gradient"} became invalid in iteration '
            f'{runner.iter + 1} (epoch {runner.epoch + 1}): '
            f'{found}; earlier checkpoints are untouched: look at these images, lower the '
            'learning rate or clip the gradients, and continue with --resume.')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse to save invalid weights.

        Args:
            runner (Runner): The running runner.
            checkpoint (dict): What is about to be saved.
        """
        for name, value in checkpoint['state_dict'].items():
            if value.is_floating_point() and not value.isfinite().all():
                raise UserError(
                    f'The weights {name} are not finite after iteration {runner.iter + 1}, so no '
                    'checkpoint is saved and earlier ones are untouched: lower the learning rate '
                    'or clip the gradients, and continue with --resume.')


def _parts(losses: dict) -> str:
    return ', '.join(f'{name} {value:.4g}' for name, value in losses.items())
