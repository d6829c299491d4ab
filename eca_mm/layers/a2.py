"""A2: double attention (Chen et al., NeurIPS 2018, https://arxiv.org/abs/1810.11579)."""
from mmengine.registry import MODELS
from torch import Tensor, nn

from .checks import check_in_channels, check_input, reduced_channels


@MODELS.register_module()
class DoubleAttention(nn.Module):
    """Gather features of the whole map by attention, hand them out by attention, and add them.

    ``x + BN(W_o A softmax_positions(B)^T softmax_channels(V))``, Eq. (4) of A2-Nets, where A, B
    and V are 1x1 convolutions of x to C / r channels. No convolution has a bias: 4 C floor(C / r)
    + 2 C parameters, which is 2 C^2 and the BN for r = 2. The BN's scale starts at zero, so that
    a new block changes nothing.

    Args:
        in_channels (int): Number of channels C of the input.
        reduction (int): C / c_m = C / c_n for the numbers of feature and attention maps. Defaults
            to 2, the value that gives the size printed for A2-Nets.

    Raises:
        ValueError: If ``in_channels`` or ``reduction`` is not a positive integer, or ``reduction``
            leaves no channel.
    """

    _abbr_ = 'a2'

    def __init__(self, in_channels: int, reduction: int = 2) -> None:
        super().__init__()
        self.in_channels = check_in_channels(in_channels)
        self.mid_channels = reduced_channels(in_channels, reduction)
        self.features = nn.Conv2d(in_channels, self.mid_channels, 1, bias=False)
        self.gather = nn.Conv2d(in_channels, self.mid_channels, 1, bias=False)
        self.distribute = nn.Conv2d(in_channels, self.mid_channels, 1, bias=False)
        self.out = nn.Conv2d(self.mid_channels, in_channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(in_channels)
        self.init_weights()

    def init_weights(self) -> None:
        """Make the block the identity."""
        nn.init.zeros_(self.bn.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Add what the double attention finds.

        Args:
            x (Tensor): Feature map of shape (N, C, H, W).

        Returns:
            Tensor: Feature map of shape (N, C, H, W).

        Raises:
            ValueError: If ``x`` is not 4-D or has another number of channels.
        """
        check_input(self, x)
        features = self.features(x).flatten(2)
        gather = self.gather(x).flatten(2).softmax(2)
        distribute = self.distribute(x).flatten(2).softmax(1)
        # From the left: the descriptors are (C / r)^2, the other order would be (H W)^2.
        found = features @ gather.transpose(1, 2) @ distribute
        found = found.reshape(x.size(0), self.mid_channels, x.size(2), x.size(3))
        return x + self.bn(self.out(found))
