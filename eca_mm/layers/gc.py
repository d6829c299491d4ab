"""GC: global context (Cao et al., ICCVW 2019, https://arxiv.org/abs/1904.11492), mmcv's block."""
from mmcv.cnn.bricks import ContextBlock
from mmengine.registry import MODELS
from torch import Tensor

from .checks import check_in_channels, check_input, reduced_channels


@MODELS.register_module()
class GCBlock(ContextBlock):
    """mmcv's ``ContextBlock``, fused by addition, with the contract of our layers.

    Attention pooling over the positions, a bottleneck of C / r channels with layer normalisation,
    and one number per channel added to the map: 2 C h + 2 C + 3 h + 1 parameters, where
    h = floor(C / r). Keys are those of ``ContextBlock``, hence of mmdet's GCNet checkpoints.

    Args:
        in_channels (int): Number of channels C of the input.
        reduction (int): Reduction ratio r. Defaults to 16.

    Raises:
        ValueError: If ``in_channels`` or ``reduction`` is not a positive integer, or ``reduction``
            leaves no channel.
    """

    def __init__(self, in_channels: int, reduction: int = 16) -> None:
        hidden = reduced_channels(check_in_channels(in_channels), reduction)
        # The parent truncates in_channels * ratio, which may fall just short of an integer.
        super().__init__(in_channels, ratio=(hidden + 0.5) / in_channels)

    def init_weights(self) -> None:
        """Make the block the identity, also after a backbone initialised all convolutions."""
        self.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Add the global context.

        Args:
            x (Tensor): Feature map of shape (N, C, H, W).

        Returns:
            Tensor: Feature map of shape (N, C, H, W).

        Raises:
            ValueError: If ``x`` is not 4-D or has another number of channels.
        """
        check_input(self, x)
        return super().forward(x)
