"""The weights in a checkpoint, whatever it wraps them in."""
from collections.abc import Mapping, Sequence

from torch import Tensor

from eca_mm.utils.errors import UserError

# What other code bases call the entry with the weights.
_ENTRIES = ('state_dict', 'model', 'model_state', 'model_state_dict')
_WRAPPERS = ('module.', '_orig_mod.')


def state_dict_of(checkpoint: Mapping, prefer: Sequence[str] = ()) -> dict[str, Tensor]:
    """Take the weights out of a checkpoint.

    Args:
        checkpoint (Mapping): A state dict, or a dict that holds one under ``state_dict``,
            ``model`` or similar.
        prefer (Sequence[str]): Entries to look for first, e.g. of averaged weights.

    Returns:
        dict[str, Tensor]: The weights, without the ``module.`` of a DDP wrapper.

    Raises:
        UserError: If there are none, or there is something else among them.
    """
    entries = [*prefer, *_ENTRIES]
    for _ in range(3):
        entry = next((e for e in entries if isinstance(checkpoint.get(e), Mapping)), None)
        if entry is None:
            break
        checkpoint = checkpoint[entry]
    weights = {}
    for name, value in checkpoint.items():
        if not isinstance(value, Tensor):
            raise UserError(f'The checkpoint holds a {type(value).__name__} under {name!r} where '
                            'weights should be; give a file with a state_dict of tensors.')
        short = _unwrapped(str(name))
        if short in weights:
            raise UserError(f'The checkpoint holds {short!r} twice, with and without the prefix of '
                            'a wrapper; remove one of the two.')
        weights[short] = value
    if not weights:
        raise UserError('The checkpoint holds no weights; give a file with a state_dict.')
    return weights


def _unwrapped(name: str) -> str:
    while name.startswith(_WRAPPERS):
        name = name.partition('.')[2]
    return name
