"""AA: attention-augmented convolution.

Bello et al., ICCV 2019, https://arxiv.org/abs/1904.09925.
"""
from collections.abc import Sequence

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from .checks import check_in_channels, check_input, is_positive_int, is_traced


@MODELS.register_module()
class AAConv2d(nn.Module):
    """A convolution some of whose output channels come from self-attention over the map.

    ``[conv(x); W_o concat_h softmax(q k^T + S_H + S_W) v]``, Eq. (3) to (6) of the paper: the
    logits ``q_i . (k_j + r^H + r^W) / sqrt(d)`` hold a learned vector for every vertical and every
    horizontal distance, shared by the heads. Of the F output channels, d_v are attention. The
    keys have at least 20 channels a head, as in the paper. Nothing has a bias.

    With a stride, the attention works on the map after 3x3 average pooling of that stride, so that
    both parts have the same size. ``downsample`` pools once more and brings the result back by
    bilinear interpolation, the paper's way to save memory where maps are large.

    Args:
        in_channels (int): Number of channels of the input.
        out_channels (int): Number of channels F of the output.
        map_size (int | Sequence[int]): Largest height and width of the *output*; maps may be
            smaller. It fixes the number of learned distances.
        kernel_size (int): Odd size of the convolution. Defaults to 3.
        stride (int): Stride, 1 or 2. Defaults to 1.
        dilation (int): Dilation of the convolution. Defaults to 1.
        key_ratio (float): d_k / F (kappa). Defaults to 0.2.
        value_ratio (float): d_v / F (upsilon). Defaults to 0.1.
        num_heads (int): Number of heads. Defaults to 8.
        downsample (int): 1, or 2 to attend at half the resolution of the output. Defaults to 1.

    Raises:
        ValueError: If an argument has none of the values named here or the attention would take
            all output channels; also if ``out_channels`` is missing, because then it was meant as
            an attention after a convolution.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int | None = None,
                 map_size: int | Sequence[int] | None = None,
                 kernel_size: int = 3,
                 stride: int = 1,
                 dilation: int = 1,
                 key_ratio: float = 0.2,
                 value_ratio: float = 0.1,
                 num_heads: int = 8,
                 downsample: int = 1) -> None:
        super().__init__()
        self.in_channels = check_in_channels(in_channels)
        if out_channels is None:
            raise ValueError('AAConv2d replaces a convolution and cannot follow one as an '
                             'attention or plugin; use AttentionResNet(conv2_cfg=...).')
        if not is_positive_int(kernel_size) or kernel_size % 2 == 0:
            raise ValueError(f'kernel_size is {kernel_size!r}, but must be a positive odd integer.')
        for name, value in (('stride', stride), ('downsample', downsample)):
            if isinstance(value, bool) or value not in (1, 2):
                raise ValueError(f'{name} is {value!r}, but must be 1 or 2.')
        if not is_positive_int(num_heads):
            raise ValueError(f'num_heads is {num_heads!r}, but must be a positive integer.')
        size = (map_size, map_size) if is_positive_int(map_size) else map_size
        if isinstance(size, str) or not isinstance(size, Sequence) or len(size) != 2 or not all(
                is_positive_int(s) for s in size):
            raise ValueError(f'map_size is {map_size!r}, but must be the largest height and width '
                             'of the output, e.g. 14 or (14, 14).')
        self.num_heads, self.downsample, self.stride = num_heads, downsample, stride
        self.map_size = tuple(-(-int(s) // downsample) for s in size)
        # Rounded down to whole channels a head; that gives the published model sizes.
        self.head_keys = max(20, int(key_ratio * out_channels) // num_heads)
        self.head_values = max(1, int(value_ratio * out_channels) // num_heads)
        keys, values = self.head_keys * num_heads, self.head_values * num_heads
        if values >= out_channels:
            raise ValueError(f'out_channels is {out_channels}, but {num_heads} heads alone make '
                             f'{values} channels; choose fewer heads or a smaller value_ratio.')
        self.conv = nn.Conv2d(in_channels, out_channels - values, kernel_size, stride=stride,
                              padding=dilation * (kernel_size // 2), dilation=dilation, bias=False)
        self.qkv = nn.Conv2d(in_channels, 2 * keys + values, 1, bias=False)
        self.out = nn.Conv2d(values, values, 1, bias=False)
        self.rel_height, self.rel_width = (
            nn.Parameter(torch.randn(2 * s - 1, self.head_keys) * self.head_keys**-0.5)
            for s in self.map_size)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and attend.

        Args:
            x (Tensor): Feature map of shape (N, C, H, W).

        Returns:
            Tensor: Feature map of shape (N, F, H / stride, W / stride).

        Raises:
            ValueError: If ``x`` is not 4-D, has another number of channels or is too large.
        """
        check_input(self, x)
        convolved = self.conv(x)
        for _ in range(self.stride * self.downsample // 2):
            x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        if not is_traced() and (x.size(2) > self.map_size[0]
                                           or x.size(3) > self.map_size[1]):
            raise ValueError(
                f'AAConv2d attends over maps of up to {self.map_size}, but got one of '
                f'{tuple(x.shape[2:])}; build it with a larger map_size or feed smaller images.')
        attended = self.attend(x)
        if self.downsample > 1:
            attended = F.interpolate(attended, convolved.shape[2:], mode='bilinear')
        return torch.cat([convolved, attended], 1)

    def attend(self, x: Tensor) -> Tensor:
        """Multi-head self-attention with relative positions.

        Args:
            x (Tensor): Feature map of shape (N, C, H, W).

        Returns:
            Tensor: Attention output of shape (N, d_v, H, W).
        """
        n, _, h, w = x.shape
        keys, values = self.head_keys * self.num_heads, self.head_values * self.num_heads
        q, k, v = self.qkv(x).split([keys, keys, values], 1)
        q = q.reshape(n, self.num_heads, self.head_keys, h, w) * self.head_keys**-0.5
        k = k.reshape(n, self.num_heads, self.head_keys, h * w)
        v = v.reshape(n, self.num_heads, self.head_values, h * w)
        # From (row, column) of the query to the row, or to the column, of the key.
        by_row = torch.einsum('bndyx,yzd->bnyxz', q, relative(self.rel_height, h))
        by_column = torch.einsum('bndyx,xzd->bnyxz', q, relative(self.rel_width, w))
        logits = (q.flatten(3).transpose(2, 3) @ k).reshape(n, self.num_heads, h, w, h, w)
        logits = logits + by_row.unsqueeze(5) + by_column.unsqueeze(4)
        weights = logits.reshape(n, self.num_heads, h * w, h * w).softmax(3)
        return self.out((v @ weights.transpose(2, 3)).reshape(n, values, h, w))


def relative(table: Tensor, size: int) -> Tensor:
    """Look up the vector of every distance between two positions of one axis.

    Args:
        table (Tensor): One vector per distance -(M - 1) ... M - 1, of shape (2 M - 1, d).
        size (int): Number of positions S, at most M.

    Returns:
        Tensor: Vectors of shape (S, S, d); entry (i, j) belongs to the distance j - i.
    """
    positions = torch.arange(size, device=table.device)
    return table[positions - positions[:, None] + table.size(0) // 2]
