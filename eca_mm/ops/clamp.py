"""ReLU6 in one pass over the map."""
import torch
from torch import Tensor, nn

from eca_mm.layers.checks import is_captured


class InferenceReLU6(nn.ReLU6):
    """ReLU6 for inference on a CPU.

    PyTorch's own in-place form clamps into fresh memory and copies the result back. Tracing,
    compiling and recording gradients see PyTorch's.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Clamp a tensor of any shape to [0, 6]."""
        if torch.is_grad_enabled() or is_captured() or not self.inplace:
            return super().forward(x)
        return x.clamp_(0, 6)
