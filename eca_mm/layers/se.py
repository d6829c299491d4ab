"""SE: squeeze-and-excitation (Hu et al., CVPR 2018, https://arxiv.org/abs/1709.01507)."""
from collections.abc import Callable, Sequence

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from .channel_attention import ChannelAttention, has_hooks, is_method
from .checks import reduced_channels


@MODELS.register_module()
class SELayer(ChannelAttention):
    """Squeeze-and-excitation, Eq. (1) and (2) of ECA-Net: ``sigmoid(W2 relu(W1 y))``.

    Neither of the two fully connected layers has a bias: 2 C floor(C / r) parameters, which is
    the 2 C^2 / r of ECA-Net's Table 2 when r divides C.

    Args:
        in_channels (int): Number of channels C of the input.
        reduction (int): Reduction ratio r. Defaults to 16; ECA-Net's MobileNetV2 uses 8.
        identity_start (bool): Whether the layer starts as the identity, which leaves a trained
            network that it is added to as it was: the second layer starts at zero, and the gate is
            ``2 * sigmoid(...)``, exactly 1 at the start. The paper has no such start. Defaults to
            False.

    Raises:
        ValueError: If ``reduction`` is not a positive integer or leaves no channel.
    """

    _abbr_ = 'se'

    def __init__(self, in_channels: int, reduction: int = 16,
                 identity_start: bool = False) -> None:
        super().__init__(in_channels, identity_start)
        hidden = reduced_channels(in_channels, reduction)
        self.fc1 = nn.Linear(in_channels, hidden, bias=False)
        self.fc2 = nn.Linear(hidden, in_channels, bias=False)
        self.init_weights()

    @property
    def last_weight(self) -> nn.Parameter:
        """The weights before the sigmoid."""
        return self.fc2.weight

    def excite(self, y: Tensor) -> Tensor:
        """Compute the channel weights, Eq. (2).

        Args:
            y (Tensor): Channel means of shape (N, C).

        Returns:
            Tensor: Channel weights in (0, 1) of shape (N, C).
        """
        return self.squash(self.fc2(F.relu(self.fc1(y))))

    def eager_gate(self) -> Callable[[Tensor], Tensor]:
        """Find the quickest way to the gate on a CPU: two products without their layers."""
        if self.identity_start or not self.is_two_products():
            return super().eager_gate()
        w1, w2 = self.fc1.weight, self.fc2.weight
        return lambda y: F.linear(F.linear(y, w1).relu_(), w2).sigmoid_()[..., None, None]

    def is_two_products(self) -> bool:
        """Tell whether the gate is what two matrix products and the sigmoid make of the means.

        Returns:
            bool: False also where a subclass or somebody else has replaced a part, or hooks it.
        """
        return (is_method(self.excite, SELayer.excite)
                and is_method(self.squash, ChannelAttention.squash) and all(
                    type(fc) is nn.Linear and fc.bias is None and not has_hooks(fc)
                    for fc in (self.fc1, self.fc2)))

    def excite_backward(self, y: Tensor, gate: Tensor, grad: Tensor, params: Sequence[Tensor]
                        ) -> tuple[Tensor, list[Tensor | None]]:
        """Compute the gradients of :meth:`excite`."""
        if self.identity_start or not self.is_two_products():
            return super().excite_backward(y, gate, grad, params)
        w1, w2 = params
        hidden = (y @ w1.T).relu_()
        grad = torch.ops.aten.sigmoid_backward.default(grad, gate)
        grad_hidden = torch.ops.aten.threshold_backward.default(grad @ w2, hidden, 0)
        return grad_hidden @ w1, [grad_hidden.T @ y, grad.T @ hidden]
