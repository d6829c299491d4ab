"""scSE: concurrent spatial and channel SE (Roy et al., https://arxiv.org/abs/1803.02579)."""
from mmengine.registry import MODELS
from torch import Tensor, nn

from .checks import check_in_channels, check_input
from .se import SELayer


@MODELS.register_module()
class SCSELayer(nn.Module):
    """Channel and spatial squeeze-and-excitation of the same map, added.

    The channel weights are SE's; the spatial weights are ``sigmoid(w x)``, a 1x1 convolution to
    one channel. None of the layers has a bias: 2 C floor(C / r) + C parameters. The weight of an
    element is the sum of the two and below 2.

    Args:
        in_channels (int): Number of channels C of the input.
        reduction (int): Reduction ratio r of the channel part. Defaults to 16, as in SE; the paper
            of scSE uses 2.

    Raises:
        ValueError: If ``in_channels`` or ``reduction`` is not a positive integer, or ``reduction``
            leaves no channel.
    """

    _abbr_ = 'scse'

    def __init__(self, in_channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.in_channels = check_in_channels(in_channels)
        self.se = SELayer(in_channels, reduction)
        self.conv = nn.Conv2d(in_channels, 1, 1, bias=False)

    def spatial_gate(self, x: Tensor) -> Tensor:
        """Compute the spatial weights.

        Args:
            x (Tensor): Feature map of shape (N, C, H, W).

        Returns:
            Tensor: Spatial weights in (0, 1) of shape (N, 1, H, W).
        """
        return self.conv(x).sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Rescale channels and positions, and add the two.

        Args:
            x (Tensor): Feature map of shape (N, C, H, W).

        Returns:
            Tensor: Rescaled feature map of shape (N, C, H, W).

        Raises:
            ValueError: If ``x`` is not 4-D or has another number of channels.
        """
        check_input(self, x)
        return x * (self.se.gate(x) + self.spatial_gate(x))
