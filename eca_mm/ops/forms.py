"""In which form the end of a residual block runs on which device."""
import warnings
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from . import accelerated_ops
from .triton_import import HAS_TRITON, interpreted

Form = Literal['cpu', 'accelerator']
# True and False decide; 'auto' takes the fused form where it was measured to be faster.
Fused = bool | Literal['auto']
# As it was when the kernels were defined, which decides what they are.
_INTERPRETED = interpreted()


def block_form(x: Tensor, fused: Fused) -> Form | None:
    """Choose the form of a block's end.

    Args:
        x (Tensor): A map on the device in question.
        fused (bool | str): True for the fused form wherever there is one, False for the modules
            one after the other, ``'auto'`` for the fused form on the CPU and on the meta device,
            where an accelerator is counted, and not on CUDA, where it has not been measured.

    Returns:
        str | None: ``'cpu'`` for the form in operations of PyTorch that suits a CPU's caches,
        ``'accelerator'`` for the one in Triton kernels, None for the modules themselves.
    """
    if not fused:
        return None
    device = x.device.type
    if device == 'cpu' and not _INTERPRETED:
        return 'cpu'
    half_or_single = x.dtype in (torch.float32, torch.float16, torch.bfloat16)
    if half_or_single and accelerated_ops.HAS_CUSTOM_OPS:
        if device == 'meta' or (device == 'cpu' and _INTERPRETED):
            return 'accelerator'
        if device == 'cuda' and fused is True and triton_runs(x.device):
            return 'accelerator'
    return 'cpu' if device == 'cpu' else None


@cache
def triton_runs(device: torch.device) -> bool:
    """Tell whether Triton kernels run on a device, by running one.

    Args:
        device (torch.device): A device of type ``cuda``.

    Returns:
        bool: False, with a warning, where Triton is missing or refuses; asked once per device.
    """
    reason: object = 'it is not installed'
    if HAS_TRITON:
        try:
            accelerated_ops.map_statistics(torch.zeros(1, 16, 4, 4, device=device))
            torch.cuda.synchronize(device)
            return True
        except Exception as error:  # Triton, the driver and the C compiler have errors of their own
            reason = error
    warnings.warn(f'Triton does not run on {device}, so that blocks run their modules one after '
                  f'the other: {reason}', RuntimeWarning, stacklevel=2)
    return False
