"""A trained model from a config and a checkpoint."""
import torch
from mmengine.config import Config
from torch import nn

from eca_mm.analysis import build_model
from eca_mm.checkpoints.keys import load_fitting
from eca_mm.compat import load_checkpoint_file
from eca_mm.utils.errors import UserError


def load_model(config: Config, checkpoint: str, device: str = 'cpu') -> nn.Module:
    """Build a config's model with the weights of a checkpoint, which must fit.

    Args:
        config (Config): Config of a classifier or detector.
        checkpoint (str): Its checkpoint.
        device (str): Where to put the model. Defaults to ``'cpu'``.

    Returns:
        nn.Module: The model in evaluation mode.

    Raises:
        UserError: If the checkpoint is broken or of another model, or there is no such device.
    """
    loaded = load_checkpoint_file(checkpoint)
    model = build_model(config)
    load_fitting(model, loaded, checkpoint)
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:
        if isinstance(error, torch.cuda.OutOfMemoryError):
            raise
        raise UserError(f'--device {device} cannot be used; use cpu.') from error
