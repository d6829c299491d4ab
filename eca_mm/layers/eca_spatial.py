"""ECA with spatial attention, the future work of ECA-Net (https://arxiv.org/abs/1910.03151)."""
from mmengine.registry import MODELS
from torch import Tensor

from .cbam import SpatialGate
from .checks import check_in_channels, check_input, odd_kernel_size
from .eca import ECALayer


@MODELS.register_module()
class ECASpatialLayer(SpatialGate):
    """ECA and the spatial attention of CBAM, one after the other or side by side.

    The channel weights are ECA's. The spatial weights are CBAM's (Eq. 3 of
    https://arxiv.org/abs/1807.06521): ``sigmoid(BN(conv([mean; max])))`` over the channels. One
    after the other, as in CBAM, the spatial weights come from the map that the channel weights
    have rescaled. Side by side both come from the input, and the two rescaled maps are added, as
    in scSE (https://arxiv.org/abs/1803.02579); the weight of an element is then below 2.

    The layer has k + 2 s^2 + 2 parameters.

    Args:
        in_channels (int): Number of channels C of the input.
        kernel_size (int | str): ECA's odd k, or ``'adaptive'`` (Eq. 12). Defaults to
            ``'adaptive'``.
        spatial_kernel_size (int): Odd size s of the spatial convolution. Defaults to 7.
        parallel (bool): Whether the two stand side by side. Defaults to False.

    Raises:
        ValueError: If ``in_channels`` is not a positive integer, or one of the kernel sizes is
            not a positive odd integer.
    """

    _abbr_ = 'eca_spatial'

    def __init__(self,
                 in_channels: int,
                 kernel_size: int | str = 'adaptive',
                 spatial_kernel_size: int = 7,
                 parallel: bool = False) -> None:
        super().__init__()
        self.in_channels = check_in_channels(in_channels)
        spatial_kernel_size = odd_kernel_size(spatial_kernel_size)
        self.parallel = parallel
        self.eca = ECALayer(in_channels, kernel_size)
        self.add_spatial_gate(spatial_kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        """Rescale channels and positions.

        Args:
            x (Tensor): Feature map of shape (N, C, H, W).

        Returns:
            Tensor: Rescaled feature map of shape (N, C, H, W).

        Raises:
            ValueError: If ``x`` is not 4-D or has another number of channels.
        """
        check_input(self, x)
        if self.parallel:
            return x * (self.eca.gate(x) + self.spatial_gate(x))
        x = self.eca(x)
        return x * self.spatial_gate(x)

    def extra_repr(self) -> str:
        """Show how the two are combined."""
        return f'parallel={self.parallel}'
