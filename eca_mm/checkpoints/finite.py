"""Weights with NaN or infinite values."""
from collections.abc import Mapping

from torch import Tensor

from eca_mm.utils.errors import UserError


def not_finite(weights: Mapping[str, object]) -> list[str]:
    """Find weights that hold NaN or infinite values.

    Args:
        weights (Mapping[str, object]): A state dict; what is not a tensor is passed over.

    Returns:
        list[str]: Their names.
    """
    return [name for name, value in weights.items() if isinstance(value, Tensor)
            and value.is_floating_point() and not bool(value.isfinite().all())]


def describe(names: list[str]) -> str:
    """Say which weights are not finite, e.g. ``NaN or infinite values in 2 weights (a, b)``.

    Args:
        names (list[str]): What :func:`not_finite` has found.

    Returns:
        str: A clause with up to three names.
    """
    shown = ', '.join(names[:3]) + (', ...' if len(names) > 3 else '')
    return f'NaN or infinite values in {len(names)} of its weights ({shown})'


def check_finite(weights: Mapping[str, object]) -> None:
    """Refuse weights that hold NaN or infinite values.

    Args:
        weights (Mapping[str, object]): A state dict.

    Raises:
        UserError: Naming up to three of them.
    """
    names = not_finite(weights)
    if names:
        raise UserError(f'The checkpoint holds {describe(names)}, so it cannot be used: '
                        'take one from before the training diverged.')
