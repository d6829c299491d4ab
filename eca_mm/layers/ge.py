"""GE: gather-excite (Hu et al., NeurIPS 2018, https://arxiv.org/abs/1810.12348)."""
from collections.abc import Sequence

from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from .checks import check_in_channels, check_input, is_positive_int, is_traced, reduced_channels

VARIANTS = ('theta-', 'theta', 'theta+')
EXTENTS = (0, 2, 4, 8)


@MODELS.register_module()
class GELayer(nn.Module):
    """Gather context around every position, then excite: ``x * sigmoid(up(gathered))``.

    The three variants differ in how they gather, from neighbourhoods e times as coarse as the
    map (extent e) or from the whole map (extent 0):

    * ``'theta-'``: average pooling over 2 e - 1 positions a side. No parameters.
    * ``'theta'``: depth-wise convolutions, each followed by BN: log2(e) of 3x3 with stride 2 and
      ReLU between them, or a single one as large as the map. 11 C log2(e) or C (H W + 2)
      parameters.
    * ``'theta+'``: the same, then two bias-free 1x1 convolutions as in SE, which add
      2 C floor(C / r) parameters.

    Args:
        in_channels (int): Number of channels C of the input.
        variant (str): ``'theta-'``, ``'theta'`` or ``'theta+'``. Defaults to ``'theta-'``.
        extent (int): 2, 4 or 8, or 0 for the whole map. Defaults to 0.
        map_size (int | Sequence[int]): Height and width of the input, needed by ``'theta'`` and
            ``'theta+'`` with extent 0, whose convolution fixes them. Defaults to None.
        reduction (int): Reduction ratio r of ``'theta+'``. Defaults to 16.

    Raises:
        ValueError: If an argument has none of the values named here, ``map_size`` is missing or
            not wanted, or ``reduction`` leaves no channel.
    """

    _abbr_ = 'ge'

    def __init__(self,
                 in_channels: int,
                 variant: str = 'theta-',
                 extent: int = 0,
                 map_size: int | Sequence[int] | None = None,
                 reduction: int = 16) -> None:
        super().__init__()
        self.in_channels = check_in_channels(in_channels)
        if variant not in VARIANTS:
            raise ValueError(f'variant is {variant!r}, but must be one of {VARIANTS}.')
        if isinstance(extent, bool) or extent not in EXTENTS:
            raise ValueError(f'extent is {extent!r}, but must be one of {EXTENTS} (0: the whole '
                             'map).')
        self.variant, self.extent = variant, extent
        fixed = variant != 'theta-' and extent == 0
        self.map_size = _checked_map_size(map_size, variant, extent) if fixed else None
        if map_size is not None and not fixed:
            raise ValueError(f'map_size is {map_size!r}, but variant {variant!r} with extent '
                             f'{extent} takes maps of any size; leave it out.')
        if variant != 'theta-':
            self.gather = self._depthwise_gather()
        if variant == 'theta+':
            hidden = reduced_channels(in_channels, reduction)
            self.fc1 = nn.Conv2d(in_channels, hidden, 1, bias=False)
            self.fc2 = nn.Conv2d(hidden, in_channels, 1, bias=False)

    def _depthwise_gather(self) -> nn.Sequential:
        """Depth-wise convolutions that shrink the map by the extent, or to a single position."""
        c = self.in_channels
        if self.extent == 0:
            return nn.Sequential(
                nn.Conv2d(c, c, self.map_size, groups=c, bias=False), nn.BatchNorm2d(c))
        modules = []
        for _ in range(self.extent.bit_length() - 1):
            modules += [nn.Conv2d(c, c, 3, stride=2, padding=1, groups=c, bias=False),
                        nn.BatchNorm2d(c), nn.ReLU(inplace=True)]
        return nn.Sequential(*modules[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Rescale the map by its gathered context.

        Args:
            x (Tensor): Feature map of shape (N, C, H, W).

        Returns:
            Tensor: Rescaled feature map of shape (N, C, H, W).

        Raises:
            ValueError: If ``x`` is not 4-D, has another number of channels, is smaller than the
                extent, or is not of the size that a global convolution was built for.
        """
        check_input(self, x)
        if not is_traced():
            self._check_size(tuple(x.shape[2:]))
        if self.variant != 'theta-':
            y = self.gather(x)
        elif self.extent == 0:
            y = F.adaptive_avg_pool2d(x, 1)
        else:
            reach = self.extent - 1
            y = F.avg_pool2d(x, 2 * reach + 1, self.extent, reach, count_include_pad=False)
        if self.variant == 'theta+':
            y = self.fc2(F.relu(self.fc1(y)))
        # The gate is computed at the coarse resolution: sigmoid and nearest upsampling commute.
        gate = y.sigmoid()
        return x * (gate if self.extent == 0 else F.interpolate(gate, x.shape[2:]))

    def _check_size(self, size: tuple[int, int]) -> None:
        if self.map_size is not None and size != self.map_size:
            raise ValueError(
                f"GELayer '{self.variant}' over the whole map was built for map_size="
                f'{self.map_size}, but got a map of {size}; its convolution has one weight per '
                'position, so feed images of one size or choose an extent of 2, 4 or 8.')
        if min(size) < self.extent:
            raise ValueError(f'GELayer gathers over an extent of {self.extent}, but got a map of '
                             f'only {size}; choose a smaller extent, or 0 for the whole map.')

    def extra_repr(self) -> str:
        """Show what the layer was built with."""
        return f'in_channels={self.in_channels}, variant={self.variant!r}, extent={self.extent}'


def _checked_map_size(map_size: int | Sequence[int] | None, variant: str,
                      extent: int) -> tuple[int, int]:
    size = (map_size, map_size) if is_positive_int(map_size) else map_size
    if isinstance(size, str) or not isinstance(size, Sequence) or len(size) != 2 or not all(
            is_positive_int(s) for s in size):
        raise ValueError(f'map_size is {map_size!r}, but variant {variant!r} with extent {extent} '
                         'needs the height and width of its maps, e.g. 56 or (56, 56).')
    return int(size[0]), int(size[1])
