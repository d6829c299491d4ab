"""Running statistics of normalisations while a forward pass is run again."""
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _NormBase


@contextmanager
def keep_running_statistics(module: nn.Module) -> Iterator[None]:
    """Let normalisations update copies of their running statistics.

    A forward pass that is run again in the backward pass, for checkpointing, would count its batch
    twice.

    Args:
        module (nn.Module): What contains the normalisations.

    Yields:
        None: The statistics themselves are back in place afterwards.
    """
    norms = [m for m in module.modules() if isinstance(m, _NormBase) and m.training]
    kept = [(m, name, value) for m in norms for name, value in m._buffers.items()
            if value is not None]
    try:
        for norm, name, value in kept:
            # In place would change what autograd has saved.
            norm._buffers[name] = value.clone()
        yield
    finally:
        for norm, name, value in kept:
            norm._buffers[name] = value
