"""Stopping a run whose weights are lost."""
import math

import torch
from mmengine.dist import all_gather_object, all_reduce
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ..compat import UserError


@HOOKS.register_module()
class StopOnInvalidLoss(Hook):
    """Stop when the loss is NaN or infinite, before a checkpoint of such weights is saved.

    In a distributed run all processes stop in the same iteration, whichever of them met the
    invalid loss. Weights that became NaN or infinite under a finite loss (by a gradient, say) are
    caught when they are about to be saved.

    Raises:
        UserError: With the iteration, the parts of the loss and the batch's images.
    """

    priority = 'VERY_HIGH'

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Check the losses of the iteration.

        Args:
            runner (Runner): The running runner.
            batch_idx (int): Index of the batch in the epoch.
            data_batch (dict): The batch, whose data samples know their images.
            outputs (dict[str, Tensor | float]): The loss and its parts.
        """
        losses = {name: float(torch.as_tensor(value).detach())
                  for name, value in (outputs or {}).items() if 'loss' in name}
        invalid = not all(map(math.isfinite, losses.values()))
        count = torch.tensor(int(invalid))
        all_reduce(count)
        if not count:
            return
        found = f'{_parts(losses)} on the images {_images(data_batch)}' if invalid else None
        # Every process raises the same sentence, so that whoever prints it names all images.
        found = '; '.join(filter(None, all_gather_object(found)))
        raise UserError(
            f'The loss became invalid in iteration {runner.iter + 1} (epoch {runner.epoch + 1}): '
            f'{found}; earlier checkpoints are untouched: look at these images, lower the '
            'learning rate or clip the gradients, and go on with --resume.')

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
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
                    'or clip the gradients, and go on with --resume.')


def _parts(losses: dict) -> str:
    return ', '.join(f'{name} {value:.4g}' for name, value in losses.items())


def _images(batch) -> str:
    """Name the images of a batch by id and path, as far as its data samples know them."""
    if isinstance(batch, dict):
        batch = batch.get('data_samples', list(batch.values()))
    if isinstance(batch, (list, tuple)):
        return ', '.join(filter(None, map(_images, batch)))
    meta = getattr(batch, 'metainfo', {})
    parts = [f'id {meta["img_id"]}' if 'img_id' in meta else '', meta.get('img_path') or '']
    return ' '.join(filter(None, parts))
