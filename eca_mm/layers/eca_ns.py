"""ECA-NS: the ECA layer whose channels do not share their weights (ECA-Net, Section 3.2.2)."""
import math

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from .channel_attention import ChannelAttention
from .eca import checked_kernel_size


@MODELS.register_module()
class ECANSLayer(ChannelAttention):
    """Local channel attention with k weights for every channel, Eq. (7).

    ``omega_i = sigmoid(sum_j w_i^j y_i^j)``, where ``y_i^j`` are the k neighbours of channel i;
    those beyond both ends count as zero. The layer has exactly k C parameters.

    Args:
        in_channels (int): Number of channels C of the input.
        kernel_size (int | str): An odd k, or ``'adaptive'`` for Eq. (12). Defaults to
            ``'adaptive'``.
        identity_start (bool): Whether the layer starts as the identity, which leaves a trained
            network that it is added to as it was: every weight starts at zero, and the gate is
            ``2 * sigmoid(...)``, exactly 1 at the start. The paper has no such start. Defaults to
            False.

    Raises:
        ValueError: If ``kernel_size`` is neither ``'adaptive'`` nor a positive odd integer.
    """

    _abbr_ = 'eca_ns'

    def __init__(self, in_channels: int, kernel_size: int | str = 'adaptive',
                 identity_start: bool = False) -> None:
        super().__init__(in_channels, identity_start)
        self.kernel_size = checked_kernel_size(kernel_size, in_channels)
        self.weight = nn.Parameter(torch.empty(self.kernel_size, in_channels))
        # Every channel starts like the shared convolution of ECA does.
        bound = 1 / math.sqrt(self.kernel_size)
        nn.init.uniform_(self.weight, -bound, bound)
        self.init_weights()

    @property
    def last_weight(self) -> nn.Parameter:
        """The weights before the sigmoid."""
        return self.weight

    def excite(self, y: Tensor) -> Tensor:
        """Compute the channel weights, Eq. (7).

        Args:
            y (Tensor): Channel means of shape (N, C).

        Returns:
            Tensor: Channel weights in (0, 1) of shape (N, C).
        """
        # Shifted views instead of an unfold: nothing larger than (N, C) is ever stored.
        padded = F.pad(y, [self.kernel_size // 2] * 2)
        # Autocast leaves products of mixed types alone, and the gate would be float32.
        weight = self.weight.to(y.dtype)
        omega = padded[:, :self.in_channels] * weight[0]
        for j in range(1, self.kernel_size):
            omega = torch.addcmul(omega, padded[:, j:j + self.in_channels], weight[j])
        return self.squash(omega)

    def extra_repr(self) -> str:
        """Show what the layer was built with."""
        return f'in_channels={self.in_channels}, kernel_size={self.kernel_size}'
