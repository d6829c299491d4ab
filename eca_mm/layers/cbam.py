"""CBAM: convolutional block attention module.

Woo et al., ECCV 2018, https://arxiv.org/abs/1807.06521.
"""
import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from .checks import check_in_channels, check_input, odd_kernel_size, reduced_channels


def pool_channels(x: Tensor) -> Tensor:
    """Squeeze the channels of every position to their mean and their maximum.

    Args:
        x (Tensor): Feature map of shape (N, C, H, W).

    Returns:
        Tensor: Of shape (N, 2, H, W), the mean first.
    """
    return torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)


class SpatialGate(nn.Module):
    """Base of layers with CBAM's spatial attention, ``sigmoid(BN(conv([avg; max])))`` (Eq. 3)."""

    def add_spatial_gate(self, kernel_size: int) -> None:
        """Build the layers of the spatial attention.

        Args:
            kernel_size (int): Odd size of the convolution.
        """
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(1)

    def spatial_gate(self, x: Tensor) -> Tensor:
        """Compute the spatial weights.

        Args:
            x (Tensor): Feature map of shape (N, C, H, W).

        Returns:
            Tensor: Spatial weights in (0, 1) of shape (N, 1, H, W).
        """
        return self.bn(self.conv(pool_channels(x))).sigmoid()


@MODELS.register_module()
class CBAM(SpatialGate):
    """Channel attention, then spatial attention.

    The channel weights are ``sigmoid(MLP(avg) + MLP(max))`` over the map, with one MLP for both
    (Eq. 2 of CBAM); the spatial weights are ``sigmoid(BN(conv([avg; max])))`` over the channels of
    the result (Eq. 3). The MLP has biases and the convolution has none, as in the models that
    ECA-Net's Table 7 counts: 2 C h + h + C + 2 s^2 + 2 parameters, where h = floor(C / r).

    Args:
        in_channels (int): Number of channels C of the input.
        reduction (int): Reduction ratio r of the MLP. Defaults to 16.
        kernel_size (int): Odd size s of the spatial convolution. Defaults to 7.

    Raises:
        ValueError: If ``in_channels`` or ``reduction`` is not a positive integer, ``reduction``
            leaves no channel, or ``kernel_size`` is not a positive odd integer.
    """

    _abbr_ = 'cbam'

    def __init__(self, in_channels: int, reduction: int = 16, kernel_size: int = 7) -> None:
        super().__init__()
        self.in_channels = check_in_channels(in_channels)
        hidden = reduced_channels(in_channels, reduction)
        kernel_size = odd_kernel_size(kernel_size)
        self.fc1 = nn.Linear(in_channels, hidden)
        self.fc2 = nn.Linear(hidden, in_channels)
        self.add_spatial_gate(kernel_size)

    def channel_gate(self, x: Tensor) -> Tensor:
        """Compute the channel weights.

        Args:
            x (Tensor): Feature map of shape (N, C, H, W).

        Returns:
            Tensor: Channel weights in (0, 1) of shape (N, C, 1, 1).
        """
        avg = F.adaptive_avg_pool2d(x, 1).flatten(1)
        # The second layer is linear: adding the hidden units first saves one product.
        hidden = F.relu(self.fc1(avg)) + F.relu(self.fc1(x.amax((2, 3))))
        weights = F.linear(hidden, self.fc2.weight, 2 * self.fc2.bias)
        return weights.sigmoid()[..., None, None]

    def forward(self, x: Tensor) -> Tensor:
        """Rescale every channel, then every position.

        Args:
            x (Tensor): Feature map of shape (N, C, H, W).

        Returns:
            Tensor: Rescaled feature map of shape (N, C, H, W).

        Raises:
            ValueError: If ``x`` is not 4-D or has another number of channels.
        """
        check_input(self, x)
        x = x * self.channel_gate(x)
        return x * self.spatial_gate(x)
