"""Turn a training checkpoint into a file to publish."""
import hashlib
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from eca_mm.checkpoints.converters.command import serialise
from eca_mm.utils.atomic_files import write_atomically
from eca_mm.utils.errors import UserError
from eca_mm.version import __version__

from .finite import check_finite
from .state_dict import state_dict_of


def published_weights(checkpoint: Mapping) -> tuple[dict[str, Tensor], dict]:
    """Take from a training checkpoint what a user of the model needs.

    Args:
        checkpoint (Mapping): What mmengine saves, or a state dict.

    Returns:
        tuple[dict[str, Tensor], dict]: The weights, averaged ones (EMA) where there are any, and
        what is known of them: ``cfg``, ``dataset_meta`` with the classes, and versions.

    Raises:
        UserError: If there are no weights, or some are NaN or infinite.
    """
    # With an EMAHook mmengine saves the averaged weights as the model's and the last ones aside.
    averaged = 'ema_state_dict' in checkpoint
    weights = {name: value.detach().clone().contiguous()
               for name, value in state_dict_of(checkpoint).items()}
    saved = checkpoint.get('meta')
    saved = saved if isinstance(saved, Mapping) else {}
    meta = dict(weights='EMA' if averaged else 'last', eca_mm_version=__version__)
    check_finite(weights)
    # mmengine writes cfg, its predecessor config, which mmengine runs when it resumes.
    if 'cfg' in saved or 'config' in saved:
        meta['cfg'] = saved.get('cfg', saved.get('config'))
    meta.update({entry: saved[entry] for entry in ('dataset_meta', 'mmengine_version', 'epoch')
                 if entry in saved})
    return weights, meta


def publish(checkpoint: Mapping, target: str | Path, overwrite: bool = False) -> Path:
    """Write the weights of a training checkpoint under a name that holds their hash.

    Args:
        checkpoint (Mapping): What mmengine saves, or a state dict.
        target (str | Path): ``name.pth`` or ``name.safetensors``; eight digits of the content's
            SHA-256 are put in: ``name-1a2b3c4d.pth``, as MMEngine's and torch.hub's loaders
            check them.
        overwrite (bool): Whether a file of that name may be replaced.

    Returns:
        Path: What was written.

    Raises:
        UserError: If there are no weights, or some are NaN or infinite, or the target has another
            ending, or it exists.
        OSError: If it cannot be written.
    """
    target = Path(target)
    if target.suffix not in ('.pth', '.safetensors'):
        raise UserError(f'{target} ends neither in .pth nor in .safetensors; name one of the two.')
    weights, meta = published_weights(checkpoint)
    data = serialise(weights, meta, target.suffix == '.safetensors')
    digest = hashlib.sha256(data).hexdigest()[:8]
    path = target.with_name(f'{target.stem}-{digest}{target.suffix}')
    if path.exists() and not overwrite:
        raise UserError(f'{path} exists already; give --overwrite to replace it, or another path.')
    write_atomically(data, path)
    return path
