"""What all attentions that look at nothing but the global average have in common."""
from abc import ABCMeta, abstractmethod

from torch import Tensor, nn
from torch.nn import functional as F

from .checks import check_in_channels, check_input


class ChannelAttention(nn.Module, metaclass=ABCMeta):
    """Channel attention whose weights depend on the globally averaged input only.

    Eq. (1) of ECA-Net: the input is squeezed to its channel means ``y = g(X)``, :meth:`excite`
    turns them into one weight per channel, and the input is rescaled by these weights. A
    subclass implements :meth:`excite` and nothing else.

    Args:
        in_channels (int): Number of channels C of the input.

    Raises:
        ValueError: If ``in_channels`` is not a positive integer.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = check_in_channels(in_channels)

    @abstractmethod
    def excite(self, y: Tensor) -> Tensor:
        """Compute the channel weights from the pooled descriptor.

        Args:
            y (Tensor): Channel means of shape (N, C).

        Returns:
            Tensor: Channel weights in (0, 1) of shape (N, C).
        """

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
        # The pooling operator rather than x.mean(): mmengine's FLOP counter sees only the former.
        y = F.adaptive_avg_pool2d(x, 1).flatten(1)
        return self.excite(y)[:, :, None, None]

    def forward(self, x: Tensor) -> Tensor:
        """Rescale every channel by its weight.

        Args:
            x (Tensor): Feature map of shape (N, C, H, W).

        Returns:
            Tensor: Rescaled feature map of shape (N, C, H, W).
        """
        return x * self.gate(x)


def is_known_by_excite(attention: nn.Module | None) -> bool:
    """Tell whether an attention may be computed from its ``excite`` alone.

    Args:
        attention (nn.Module | None): Any layer.

    Returns:
        bool: Whether it is a :class:`ChannelAttention` whose class changes neither how it pools
        nor how it rescales, and that nobody watches through hooks.
    """
    cls = type(attention)
    return (isinstance(attention, ChannelAttention) and cls.gate is ChannelAttention.gate
            and cls.forward is ChannelAttention.forward and not has_hooks(attention))


def has_hooks(module: nn.Module) -> bool:
    """Tell whether somebody waits for a module to be called.

    Args:
        module (nn.Module): Any module.

    Returns:
        bool: Whether it has forward or backward hooks of its own.
    """
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks
                or module._backward_pre_hooks)
