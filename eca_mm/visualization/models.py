"""A trained model from a config and a checkpoint."""
import torch
from mmengine.config import Config
from torch import nn

from eca_mm.analysis import build_model
from eca_mm.checkpoints import KeyReport
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
    report = KeyReport.compare(model.state_dict(), loaded)
    if not report.fits:
        raise UserError(f'Checkpoint {checkpoint} does not fit the model: {report}; use the config '
                        'that it was trained with.')
    weights = loaded.get('state_dict', loaded)
    model.load_state_dict({name.removeprefix('module.'): value for name, value in weights.items()},
                          strict=False)
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:
        if isinstance(error, torch.cuda.OutOfMemoryError):
            raise
        raise UserError(f'--device {device} cannot be used; use cpu.') from error
