"""ECA: efficient channel attention (Wang et al., CVPR 2020, https://arxiv.org/abs/1910.03151)."""
import math
from collections.abc import Callable, Sequence

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from .channel_attention import ChannelAttention, has_hooks, is_method
from .checks import is_captured, is_positive_int

# The largest image of one sample that PyTorch convolves itself. It hands batches and larger images
# to oneDNN, which takes ten times as long for so little.
_IMAGE_SIZE = 20480


def eca_kernel_size(channels: int, gamma: float = 2, b: float = 1) -> int:
    """Kernel size of the 1-D convolution for a number of channels, Eq. (12).

    The nearest odd number is taken as the paper's Figure 3 codes it: truncate
    ``(log2(C) + b) / gamma``, then go up by one if the result is even. With the defaults this is 1
    for C < 8, 3 up to 127, 5 up to 2047 and 7 from 2048.

    Args:
        channels (int): Number of channels C.
        gamma (float): Slope of the mapping. Defaults to 2.
        b (float): Offset of the mapping. Defaults to 1.

    Returns:
        int: An odd kernel size k.

    Raises:
        ValueError: If ``channels`` is not a positive integer or ``gamma`` is not positive.
    """
    if not is_positive_int(channels):
        raise ValueError(f'channels is {channels!r}, but must be a positive integer.')
    if not gamma > 0:
        raise ValueError(f'gamma is {gamma!r}, but must be positive (the paper uses 2).')
    t = int(abs((math.log2(channels) + b) / gamma))
    return t if t % 2 else t + 1


def checked_kernel_size(kernel_size: int | str, channels: int, gamma: float = 2,
                        b: float = 1) -> int:
    """Resolve the ``kernel_size`` argument of the ECA layers.

    Args:
        kernel_size (int | str): An odd k, or ``'adaptive'`` for :func:`eca_kernel_size`.
        channels (int): Number of channels C.
        gamma (float): Slope of the adaptive mapping. Defaults to 2.
        b (float): Offset of the adaptive mapping. Defaults to 1.

    Returns:
        int: An odd kernel size k.

    Raises:
        ValueError: If ``kernel_size`` is neither ``'adaptive'`` nor a positive odd integer.
    """
    if kernel_size == 'adaptive':
        return eca_kernel_size(channels, gamma, b)
    if not is_positive_int(kernel_size) or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size is {kernel_size!r}, but must be 'adaptive' or a positive "
                         'odd integer such as 3, 5, 7 or 9.')
    return int(kernel_size)


@MODELS.register_module()
class ECALayer(ChannelAttention):
    """Efficient channel attention, Eq. (9): ``sigmoid(C1D_k(GAP(x)))`` rescales the channels.

    One 1-D convolution of ``k`` weights, shared by all channels and without bias, slides over the
    channel means; the k - 1 neighbours beyond both ends count as zero, or come from the other end
    with circular padding. The layer has exactly k parameters per convolution.

    Args:
        in_channels (int): Number of channels C of the input.
        kernel_size (int | str): An odd k, or ``'adaptive'`` for :func:`eca_kernel_size`.
            Defaults to ``'adaptive'``.
        gamma (float): Slope of the adaptive mapping. Defaults to 2.
        b (float): Offset of the adaptive mapping. Defaults to 1.
        num_convs (int): Number of convolutions in a row, without a non-linearity between them
            (Appendix II, which finds that more than one hardly pays). Defaults to 1.
        padding_mode (str): ``'zeros'``, or ``'circular'`` to make the first and the last channel
            neighbours. Defaults to ``'zeros'``.
        identity_start (bool): Whether the layer starts as the identity, which leaves a trained
            network that it is added to as it was: the last convolution starts at zero, and the
            gate is ``2 * sigmoid(...)``, exactly 1 at the start. The paper has no such start.
            Defaults to False.

    Raises:
        ValueError: If ``kernel_size`` is neither ``'adaptive'`` nor a positive odd integer,
            ``num_convs`` is not a positive integer, ``padding_mode`` is unknown, or circular
            padding would go round the channels more than once.
    """

    _abbr_ = 'eca'

    def __init__(self,
                 in_channels: int,
                 kernel_size: int | str = 'adaptive',
                 gamma: float = 2,
                 b: float = 1,
                 num_convs: int = 1,
                 padding_mode: str = 'zeros',
                 identity_start: bool = False) -> None:
        super().__init__(in_channels, identity_start)
        self.kernel_size = checked_kernel_size(kernel_size, in_channels, gamma, b)
        if not is_positive_int(num_convs):
            raise ValueError(f'num_convs is {num_convs!r}, but must be a positive integer.')
        if padding_mode not in ('zeros', 'circular'):
            raise ValueError(f"padding_mode is {padding_mode!r}, but must be 'zeros' or "
                             "'circular'.")
        if padding_mode == 'circular' and self.kernel_size // 2 > in_channels:
            raise ValueError(
                f'kernel_size is {self.kernel_size}, whose circular padding would repeat the '
                f'{in_channels} channels; choose at most {2 * in_channels + 1}.')
        convs = [
            nn.Conv1d(1, 1, self.kernel_size, padding=self.kernel_size // 2, bias=False,
                      padding_mode=padding_mode) for _ in range(num_convs)
        ]
        # A single convolution keeps the published key, conv.weight.
        self.conv = convs[0] if num_convs == 1 else nn.Sequential(*convs)
        self.init_weights()

    @property
    def last_weight(self) -> nn.Parameter:
        """The weights before the sigmoid."""
        return (self.conv if isinstance(self.conv, nn.Conv1d) else self.conv[-1]).weight

    def excite(self, y: Tensor) -> Tensor:
        """Compute the channel weights, Eq. (8).

        Args:
            y (Tensor): Channel means of shape (N, C).

        Returns:
            Tensor: Channel weights in (0, 1) of shape (N, C).
        """
        if not is_captured() and _as_one_image(y) and self.is_single_convolution():
            return self.squash(_convolve(y, self.conv.weight))
        return self.squash(self.conv(y.unsqueeze(1)).squeeze(1))

    def eager_gate(self) -> Callable[[Tensor], Tensor]:
        """Find the quickest way to the gate on a CPU: the convolution without its layer."""
        usual = super().eager_gate()
        if self.identity_start or not self.is_single_convolution():
            return usual
        weight = self.conv.weight
        kernel, padding = _as_kernel(weight.detach()), (0, self.kernel_size // 2)

        def gate(y: Tensor) -> Tensor:
            n, channels = y.shape
            # The view lasts until somebody gives the weight other memory.
            if not 0 < n * channels <= _IMAGE_SIZE or weight.data_ptr() != kernel.data_ptr():
                return usual(y)
            image = torch.conv2d(y.reshape(1, 1, n, channels), kernel, None, 1, padding)
            return image.sigmoid_().view(n, channels, 1, 1)

        return gate

    def is_single_convolution(self) -> bool:
        """Tell whether the gate is the sigmoid of one convolution with zeros beyond the ends.

        Returns:
            bool: False also where a subclass or somebody else has replaced a part, or hooks it.
        """
        conv = self.conv
        return (is_method(self.excite, ECALayer.excite)
                and is_method(self.squash, ChannelAttention.squash) and type(conv) is nn.Conv1d
                and conv.kernel_size == (self.kernel_size, ) and conv.dilation == (1, )
                and conv.bias is None and conv.padding_mode == 'zeros' and not has_hooks(conv))

    def excite_backward(self, y: Tensor, gate: Tensor, grad: Tensor, params: Sequence[Tensor]
                        ) -> tuple[Tensor, list[Tensor | None]]:
        """Compute the gradients of :meth:`excite`.

        The gradient of a convolution is the convolution with the reversed weights.
        """
        if self.identity_start or not self.is_single_convolution():
            return super().excite_backward(y, gate, grad, params)
        weight, = params
        grad = torch.ops.aten.sigmoid_backward.default(grad, gate)
        if _as_one_image(y):
            return _convolve_backward(y, weight, grad)
        windows = _windows(y, self.kernel_size)
        grad_weight = torch.bmm(windows, grad[:, :, None]).sum(0).view_as(weight)
        grad_y = _slide(_windows(grad, self.kernel_size), weight.flatten().flip(0))
        return grad_y, [grad_weight]

    def extra_repr(self) -> str:
        """Show the channels, which the 1-D convolution itself does not know."""
        return f'in_channels={self.in_channels}'


def _as_one_image(y: Tensor) -> bool:
    """Whether :func:`_convolve` is the quickest way; larger rows go to oneDNN in any case."""
    return y.device.type == 'cpu' and 0 < y.size(1) <= _IMAGE_SIZE and y.size(0) > 0


def _convolve(y: Tensor, weight: Tensor) -> Tensor:
    """Convolve every row of (N, C) with the weights of a Conv1d, (1, 1, k)."""
    n, channels = y.shape
    rows = _IMAGE_SIZE // channels
    if n > rows:
        return torch.cat([_convolve(part, weight) for part in y.split(rows)])
    kernel = _as_kernel(weight)
    image = torch.conv2d(y.reshape(1, 1, n, channels), kernel, None, 1, (0, kernel.size(3) // 2))
    return image.view(n, channels)


def _as_kernel(weight: Tensor) -> Tensor:
    """View the weights of a Conv1d, (1, 1, k), as those that move along the rows of an image."""
    return weight.view(1, 1, 1, -1)


def _convolve_backward(y: Tensor, weight: Tensor, grad: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The gradients of :func:`_convolve`: of y, and of the weights."""
    n, channels = y.shape
    rows = _IMAGE_SIZE // channels
    if n > rows:
        grads_y, grads_weight = zip(*(
            _convolve_backward(part, weight, grad_part)
            for part, grad_part in zip(y.split(rows), grad.split(rows), strict=True)), strict=True)
        return torch.cat(grads_y), [torch.stack([found for found, in grads_weight]).sum(0)]
    image, kernel = (1, 1, n, channels), _as_kernel(weight)
    grad_y, grad_weight, _ = torch.ops.aten.convolution_backward.default(
        grad.reshape(image), y.reshape(image), kernel, None, [1, 1], [0, kernel.size(3) // 2],
        [1, 1], False, [0, 0], 1, [True, True, False])
    return grad_y.view(n, channels), [grad_weight.view_as(weight)]


def _windows(y: Tensor, k: int) -> Tensor:
    """The k neighbours of every channel, zero beyond both ends: (N, C) to (N, k, C)."""
    return F.pad(y, (k // 2, k // 2)).unfold(1, y.size(1), 1)


def _slide(windows: Tensor, weight: Tensor) -> Tensor:
    """Weigh and add the neighbours: (N, k, C) and (k,) to (N, C)."""
    return (windows * weight[:, None]).sum(1)
