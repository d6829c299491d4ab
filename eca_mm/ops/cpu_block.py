"""A whole residual block on a CPU at inference time."""
import torch
from torch import Tensor, nn

from .bn_reductions import is_channels_last
from .cpu_inference import LARGE_BYTES, CpuTail
from .layer_plan import LayerPlan, treats_samples_alone


class CpuBlock:
    """A residual block in operations that suit a CPU, without gradients.

    Args:
        branch (nn.Module): The residual branch up to its last convolution.
        tail (CpuTail): The end of the block.
        downsample (nn.Module | None): What the shortcut consists of, None for the input itself.
        shortcut (bool): Whether there is a shortcut.

    Attributes:
        owns_output (bool): Whether the output is a new map that nobody else has.
    """

    def __init__(self, branch: nn.Module, tail: CpuTail, downsample: nn.Module | None,
                 shortcut: bool) -> None:
        self._branch, self._tail = LayerPlan(branch), tail
        self._downsample = None if downsample is None else LayerPlan(downsample)
        self._shortcut = shortcut
        self._can_be_cut = (tail.can_be_cut and treats_samples_alone(branch)
                            and treats_samples_alone(downsample))
        self.owns_output = tail.owns_output

    def __call__(self, x: Tensor, overwrite: bool) -> Tensor:
        """Compute the block's output.

        Args:
            x (Tensor): Input of shape (N, C_in, H, W).
            overwrite (bool): Whether nobody else needs ``x``.

        Returns:
            Tensor: Output of shape (N, C_out, H / stride, W / stride).
        """
        if len(x) > 1 and self._can_be_cut:
            step = self._slice_length(x)
            if step is not None:
                return self._in_slices(x, step, overwrite)
        z = self._branch(x)
        if not self._shortcut:
            return self._tail(z, None, False)
        if self._downsample is None:
            return self._tail(z, x, overwrite)
        return self._tail(z, self._downsample(x), self._downsample.owns_output)

    def _slice_length(self, x: Tensor) -> int | None:
        """How many samples to compute at a time; None for all of them."""
        sample = int(self._branch.largest_map * x.size(2) * x.size(3)) * x.element_size()
        if len(x) * sample <= LARGE_BYTES:
            return None
        return min(max(1, LARGE_BYTES // 2 // sample), len(x))

    def _in_slices(self, x: Tensor, step: int, overwrite: bool) -> Tensor:
        """Compute some samples at a time, so that the branch's maps stay in memory that it has."""
        passed_on = self._shortcut and self._downsample is None
        out = x if passed_on and overwrite else None
        if self._downsample is not None:
            overwrite = self._downsample.owns_output
        for part in (slice(i, i + step) for i in range(0, len(x), step)):
            z, identity = self._branch(x[part]), None
            if self._shortcut:
                identity = x[part] if self._downsample is None else self._downsample(x[part])
            given = None if out is None else out[part]
            result = self._tail(z, identity, overwrite, given)
            if out is None:
                layout = (torch.channels_last if is_channels_last(result)
                          else torch.contiguous_format)
                out = torch.empty((len(x), *result.shape[1:]), dtype=result.dtype,
                                  memory_format=layout)
            if given is None or result is not given:
                out[part] = result
        assert out is not None
        return out
