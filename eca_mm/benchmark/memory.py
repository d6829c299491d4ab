"""The memory of a step: bytes kept for the backward pass, and the peak."""
import ctypes
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from .timing import synchronize


def saved_bytes(forward: Callable[[], object], model: nn.Module) -> int:
    """Count what autograd keeps of a forward pass for the backward pass.

    Args:
        forward (Callable): Runs the model and returns something that needs a gradient.
        model (nn.Module): The model; its parameters exist anyway and do not count.

    Returns:
        int: Bytes of all memory blocks that saved tensors lie in, each counted once.
    """
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    blocks: dict[int, int] = {}
    kept = []

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            blocks[storage.data_ptr()] = storage.nbytes()
            # So that no other tensor gets the same address.
            kept.append(storage)
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        result = forward()
    del result
    return sum(blocks.values())


def peak_memory(step: Callable[[], object], device: torch.device) -> int | None:
    """Measure how much memory a step takes beyond what was taken before.

    Args:
        step (Callable): What to call.
        device (torch.device): What it runs on.

    Returns:
        int | None: Bytes at the peak: of torch's allocator on a GPU, of the process on the CPU
        under Linux. None where it cannot be measured.
    """
    if device.type == 'cuda':
        synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    try:
        # Give back what was freed, then have the kernel forget its peak.
        ctypes.CDLL(None).malloc_trim(0)
        Path('/proc/self/clear_refs').write_text('5')
        before = _resident('VmRSS')
        step()
        return max(0, _resident('VmHWM') - before)
    except (AttributeError, OSError, ValueError):
        return None


def _resident(entry: str) -> int:
    """An entry of this process's status under Linux, in bytes."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(f'{entry}:'):
            return int(line.split()[1]) * 1024
    raise ValueError(f'The kernel does not report {entry}.')
