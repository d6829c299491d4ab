"""Triton if it is installed; PyTorch's CUDA wheels bring it, most others do not."""
import os
from typing import Any

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = tl = None

HAS_TRITON = triton is not None


def jit(function: Any) -> Any:
    """Turn a function into a Triton kernel; without Triton it stays as it is."""
    return triton.jit(function) if HAS_TRITON else function


def interpreted() -> bool:
    """Whether kernels run in Triton's interpreter (``TRITON_INTERPRET=1``), on a CPU."""
    # The variable, as Triton before 3.4 has no attribute for it.
    return HAS_TRITON and os.environ.get('TRITON_INTERPRET') == '1'
