"""Running statistics of normalisations: their update, and their protection from a second one."""
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase


def update_running_statistics(norm: nn.BatchNorm2d, mean: Tensor, var: Tensor, n: int) -> None:
    """Count one batch, as BN does it in training.

    Args:
        norm (nn.BatchNorm2d): The normalisation.
        mean (Tensor): The batch's mean of every channel, of shape (C,).
        var (Tensor): The biased variance, of shape (C,).
        n (int): Number of values of a channel, more than 1.
    """
    norm.num_batches_tracked.add_(1)
    momentum = norm.momentum
    if momentum is None:
        momentum = 1 / float(norm.num_batches_tracked)
    norm.running_mean.lerp_(mean, momentum)
    # The running variance is the unbiased one.
    norm.running_var.lerp_(var * (n / (n - 1)), momentum)


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
