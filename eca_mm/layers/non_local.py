"""NL: the non-local block (Wang et al., CVPR 2018, https://arxiv.org/abs/1711.07971), mmcv's."""
from mmcv.cnn.bricks import NonLocal2d
from mmengine.registry import MODELS
from torch import Tensor

from .checks import check_in_channels, check_input, reduced_channels


@MODELS.register_module()
class NonLocalBlock(NonLocal2d):
    """mmcv's ``NonLocal2d`` with the contract of our layers.

    ``x + W_z softmax(theta(x)^T phi(x) / sqrt(h)) g(x)`` with h = floor(C / r): 4 C h + 3 h + C
    parameters with the defaults. Keys are those of ``NonLocal2d``.

    Args:
        in_channels (int): Number of channels C of the input.
        reduction (int): Reduction ratio r. Defaults to 2.
        **kwargs: All other arguments of ``NonLocal2d``.

    Raises:
        ValueError: If ``in_channels`` or ``reduction`` is not a positive integer, or ``reduction``
            leaves no channel.
    """

    def __init__(self, in_channels: int, reduction: int = 2, **kwargs) -> None:
        reduced_channels(check_in_channels(in_channels), reduction)
        super().__init__(in_channels, reduction=reduction, **kwargs)

    def forward(self, x: Tensor) -> Tensor:
        """Add to every position a weighted sum over all positions.

        Args:
            x (Tensor): Feature map of shape (N, C, H, W).

        Returns:
            Tensor: Feature map of shape (N, C, H, W).

        Raises:
            ValueError: If ``x`` is not 4-D or has another number of channels.
        """
        check_input(self, x)
        # The parent's forward unpacks a size, which torch.fx cannot record.
        pairwise = getattr(self, self.mode)(*self._embeddings(x))
        y = pairwise @ self.g(x).flatten(2).transpose(1, 2)
        y = y.transpose(1, 2).reshape(x.size(0), self.inter_channels, x.size(2), x.size(3))
        return x + self.conv_out(y)

    def _embeddings(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What is compared: (N, HW, h) and (N, h, HW); 4-D where pairs are concatenated."""
        if self.mode == 'gaussian':
            phi = self.phi(x) if self.sub_sample else x
            return x.flatten(2).transpose(1, 2), phi.flatten(2)
        theta, phi = self.theta(x).flatten(2), self.phi(x).flatten(2)
        if self.mode == 'concatenation':
            return theta.unsqueeze(3), phi.unsqueeze(2)
        return theta.transpose(1, 2), phi
