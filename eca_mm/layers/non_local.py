"""NL: the non-local block (Wang et al., CVPR 2018, https://arxiv.org/abs/1711.07971), mmcv's."""
from mmcv.cnn.bricks import NonLocal2d
from mmengine.registry import MODELS
from torch import Tensor

from .checks import check_in_channels, check_input, is_traced, reduced_channels


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
        if not is_traced() and x.size(0) == 0:
            # The parent's view(n, c, -1) cannot infer a size when there are no images.
            return x + super().forward(x.new_zeros(1, *x.shape[1:]))[:0]
        return super().forward(x)
