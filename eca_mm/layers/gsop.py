"""GSoP: global second-order pooling (Gao et al., CVPR 2019, https://arxiv.org/abs/1811.12006)."""
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from .checks import check_in_channels, check_input, is_positive_int


@MODELS.register_module()
class GSoPLayer(nn.Module):
    """Channel attention from the covariance of the channels (GSoP-Net1's block).

    A 1x1 convolution with BN and ReLU reduces the map to d channels. The rows of their covariance
    matrix are normalised (BN), every row is summarised by 4 numbers (its own convolution,
    then leaky ReLU with slope 0.1), and one more layer with a sigmoid makes these 4 d numbers the
    channel weights. All convolutions have biases: C d + 4 d^2 + 4 C d + C + 9 d parameters.

    Args:
        in_channels (int): Number of channels C of the input.
        cov_channels (int): Number of channels d of which the covariance is taken. Defaults to 128.

    Raises:
        ValueError: If ``in_channels`` or ``cov_channels`` is not a positive integer, or there are
            more of the latter.
    """

    _abbr_ = 'gsop'

    def __init__(self, in_channels: int, cov_channels: int = 128) -> None:
        super().__init__()
        self.in_channels = check_in_channels(in_channels)
        if not is_positive_int(cov_channels) or cov_channels > in_channels:
            raise ValueError(f'cov_channels is {cov_channels!r}, but must be a positive integer, '
                             f'no more than the {in_channels} channels of the input.')
        d = int(cov_channels)
        self.reduce = nn.Conv2d(in_channels, d, 1)
        self.bn = nn.BatchNorm2d(d)
        self.row_bn = nn.BatchNorm1d(d)
        self.row_conv = nn.Conv1d(d, 4 * d, d, groups=d)
        self.fc = nn.Linear(4 * d, in_channels)

    def gate(self, x: Tensor) -> Tensor:
        """Compute the channel weights of a feature map.

        Args:
            x (Tensor): Feature map of shape (N, C, H, W).

        Returns:
            Tensor: Channel weights in (0, 1) of shape (N, C, 1, 1).

        Raises:
            ValueError: If ``x`` is not 4-D or has another number of channels.
        """
        check_input(self, x)
        y = F.relu(self.bn(self.reduce(x))).flatten(2)
        # Divided before the product, so that half precision cannot overflow.
        y = (y - y.mean(2, keepdim=True)) * y.size(2)**-0.5
        rows = self.row_conv(self.row_bn(y @ y.transpose(1, 2))).flatten(1)
        return self.fc(F.leaky_relu(rows, 0.1)).sigmoid()[..., None, None]

    def forward(self, x: Tensor) -> Tensor:
        """Rescale every channel by its weight.

        Args:
            x (Tensor): Feature map of shape (N, C, H, W).

        Returns:
            Tensor: Rescaled feature map of shape (N, C, H, W).
        """
        return x * self.gate(x)
