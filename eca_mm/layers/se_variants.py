"""SE without dimensionality reduction: the variants of ECA-Net's Section 3.2 and Table 2."""
import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from .channel_attention import ChannelAttention
from .checks import is_positive_int


@MODELS.register_module()
class SEVar1Layer(ChannelAttention):
    """SE-Var1, ``sigmoid(y)``: the channel means are the weights. No parameters.

    Args:
        in_channels (int): Number of channels C of the input.
    """

    _abbr_ = 'se_var1'

    def excite(self, y: Tensor) -> Tensor:
        """Compute the channel weights (N, C) from the channel means (N, C)."""
        return y.sigmoid()


@MODELS.register_module()
class SEVar2Layer(ChannelAttention):
    """SE-Var2, ``sigmoid(w * y)``: every channel for itself, Eq. (4). C parameters.

    Args:
        in_channels (int): Number of channels C of the input.
        identity_start (bool): Whether the layer starts as the identity, which leaves a trained
            network that it is added to as it was: every weight starts at zero, and the gate is
            ``2 * sigmoid(...)``, exactly 1 at the start. The paper has no such start. Defaults to
            False.
    """

    _abbr_ = 'se_var2'

    def __init__(self, in_channels: int, identity_start: bool = False) -> None:
        super().__init__(in_channels, identity_start)
        self.weight = nn.Parameter(torch.ones(in_channels))
        self.init_weights()

    @property
    def last_weight(self) -> nn.Parameter:
        """The weights before the sigmoid."""
        return self.weight

    def excite(self, y: Tensor) -> Tensor:
        """Compute the channel weights (N, C) from the channel means (N, C)."""
        # Autocast leaves products of mixed types alone, and the gate would be float32.
        return self.squash(y * self.weight.to(y.dtype))


@MODELS.register_module()
class SEVar3Layer(ChannelAttention):
    """SE-Var3, ``sigmoid(W y)``: one full layer, Eq. (4). C^2 parameters.

    Args:
        in_channels (int): Number of channels C of the input.
        identity_start (bool): Whether the layer starts as the identity, which leaves a trained
            network that it is added to as it was: the matrix starts at zero, and the gate is
            ``2 * sigmoid(...)``, exactly 1 at the start. The paper has no such start. Defaults to
            False.
    """

    _abbr_ = 'se_var3'

    def __init__(self, in_channels: int, identity_start: bool = False) -> None:
        super().__init__(in_channels, identity_start)
        self.fc = nn.Linear(in_channels, in_channels, bias=False)
        self.init_weights()

    @property
    def last_weight(self) -> nn.Parameter:
        """The weights before the sigmoid."""
        return self.fc.weight

    def excite(self, y: Tensor) -> Tensor:
        """Compute the channel weights (N, C) from the channel means (N, C)."""
        return self.squash(self.fc(y))


@MODELS.register_module()
class SEGCLayer(ChannelAttention):
    """SE-GC, ``sigmoid(GC_G(y))``: a block-diagonal matrix as a group convolution, Eq. (5).

    G groups have C^2 / G parameters. Table 2's SE-GC1, SE-GC2 and SE-GC3 are ``groups=16``,
    ``groups='C/16'`` and ``groups='C/8'``.

    Args:
        in_channels (int): Number of channels C of the input.
        groups (int | str): Number of groups G, or ``'C/n'`` for groups of n channels, which
            suits stages of different width. Defaults to 16.
        identity_start (bool): Whether the layer starts as the identity, which leaves a trained
            network that it is added to as it was: the matrix starts at zero, and the gate is
            ``2 * sigmoid(...)``, exactly 1 at the start. The paper has no such start. Defaults to
            False.

    Raises:
        ValueError: If ``groups`` is neither a positive integer nor of the form ``'C/n'``, or
            does not divide C.
    """

    _abbr_ = 'se_gc'

    def __init__(self, in_channels: int, groups: int | str = 16,
                 identity_start: bool = False) -> None:
        super().__init__(in_channels, identity_start)
        divisor: int | str = groups
        if isinstance(groups, str) and groups.startswith('C/') and groups[2:].isdecimal():
            divisor = int(groups[2:])
        if not is_positive_int(divisor):
            raise ValueError(f"groups is {groups!r}, but must be a positive integer or 'C/n' for "
                             'groups of n channels.')
        if in_channels % divisor:
            raise ValueError(f'groups is {groups!r}, which does not divide {in_channels} channels '
                             'into equal groups; choose a divisor of it.')
        self.groups = in_channels // divisor if isinstance(groups, str) else int(divisor)
        self.fc = nn.Conv1d(in_channels, in_channels, 1, groups=self.groups, bias=False)
        self.init_weights()

    @property
    def last_weight(self) -> nn.Parameter:
        """The weights before the sigmoid."""
        return self.fc.weight

    def excite(self, y: Tensor) -> Tensor:
        """Compute the channel weights (N, C) from the channel means (N, C)."""
        return self.squash(self.fc(y.unsqueeze(2)).squeeze(2))
