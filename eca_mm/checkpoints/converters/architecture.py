"""Read the architecture of a ResNet from the names and shapes of its weights alone."""
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from eca_mm.backbones import AttentionResNet, AttentionResNetD
from eca_mm.layers import eca_kernel_size
from eca_mm.utils.errors import UserError


@dataclass(frozen=True)
class ResNetArchitecture:
    """What distinguishes one ResNet of our naming from another.

    Attributes:
        stage_blocks (tuple[int, ...]): Number of blocks of the four stages.
        bottleneck (bool): Whether blocks have three convolutions, not two.
        kernel_sizes (tuple[int, ...] | None): Kernel size of the ECA layers of every stage; None
            for a network without them.
        stem_widths (tuple[int, ...]): Output channels of the stem's convolutions: three of a deep
            stem, one else.
        avg_down (bool): Whether shortcuts with stride average first.
        base_channels (int): Channels of the first stage's blocks before expansion.
        expansion (int): Channels of a block's output by those inside.
        groups (int): Groups of the 3x3 convolutions.
        width_per_group (int): Channels of a group in the first stage.
        channels (list | None): For a pruned network, the three convolutions' output channels of
            every block of every stage.
    """

    stage_blocks: tuple
    bottleneck: bool
    kernel_sizes: tuple | None
    stem_widths: tuple
    avg_down: bool
    base_channels: int
    expansion: int
    groups: int
    width_per_group: int
    channels: list | None

    @classmethod
    def read(cls, weights: Mapping[str, Tensor]) -> 'ResNetArchitecture':
        """Read the architecture from weights.

        Weights that are absent or odd do not end the reading: what is read then does not fit, and
        the comparison with the built model tells all misfits at once.

        Args:
            weights (Mapping[str, Tensor]): A backbone's state dict, without prefix.

        Returns:
            ResNetArchitecture: The architecture.

        Raises:
            UserError: If the weights are not those of a four-stage ResNet, or the ECA layers of a
                stage differ in kernel size.
        """
        blocks = {tuple(map(int, match.groups()))
                  for match in map(re.compile(r'layer(\d+)\.(\d+)\.').match, weights) if match}
        stage_blocks = tuple(sum(stage == i for stage, _ in blocks) for i in (1, 2, 3, 4))
        if not all(stage_blocks):
            raise UserError('The checkpoint is not a ResNet of four stages in the naming of '
                            'torchvision, timm or mmpretrain; its weights start with '
                            f'{", ".join(list(weights)[:3])}.')
        bottleneck = any('.conv3.' in name for name in weights)
        last = 3 if bottleneck else 2
        channels = [[tuple(_size(weights, f'layer{i}.{j}.conv{c}.weight')
                           for c in range(1, last + 1)) for j in range(count)]
                    for i, count in enumerate(stage_blocks, 1)]
        widths = [Counter(block[c] // 2**i for i, stage in enumerate(channels) for block in stage
                          if block[c]).most_common() for c in range(last)]
        width, *_, out = (common[0][0] if common else 64 for common in widths)
        pruned = bottleneck and _is_pruned(channels, [common[0][0] for common in widths])
        groups, per_group = 1, 4
        if bottleneck and not pruned:
            groups = max(1, width // (_size(weights, 'layer1.0.conv2.weight', 1) or width))
        if groups > 1:
            # ResNeXt's 3x3 convolutions are wider than the network that its output belongs to.
            base, expansion, per_group = out // 4, 4, width // groups
        elif pruned:
            base, expansion = 64, 4
        else:
            base, expansion = width, max(1, out // width)
        stem = [f'stem.{i}.conv.weight' for i in range(3)]
        deep = any(name in weights for name in stem)
        return cls(
            stage_blocks, bottleneck, kernel_sizes_of(weights, stage_blocks),
            tuple(_size(weights, name) or 64 for name in (stem if deep else ['conv1.weight'])),
            any(re.match(r'layer[2-4]\.0\.downsample\.2\.', name) for name in weights),
            base, expansion, groups, per_group, channels if pruned else None)

    @property
    def is_d(self) -> bool:
        """Whether it takes a ResNet-D, a ResNeXt or a pruned network."""
        return (len(self.stem_widths) == 3 or self.avg_down or self.groups > 1
                or self.channels is not None)

    @property
    def depth(self) -> int:
        """Number of layers, as in ResNet-50.

        Raises:
            UserError: If none of our networks has these blocks.
        """
        known = AttentionResNetD if self.is_d else AttentionResNet
        for depth, (_, blocks) in known.arch_settings.items():
            if blocks == self.stage_blocks and self.bottleneck == (depth not in (18, 34)):
                return depth
        if self.is_d and self.bottleneck:
            return 3 * sum(self.stage_blocks) + 2
        raise UserError(f'The checkpoint has {self.stage_blocks} blocks in its stages, which is '
                        f'not a ResNet of depth {", ".join(map(str, known.arch_settings))}.')

    @property
    def adaptive(self) -> bool:
        """Whether the kernel sizes are those of Eq. (12)."""
        if self.channels is not None:
            return False
        outs = [self.base_channels * self.expansion * 2**i for i in range(4)]
        return self.kernel_sizes == tuple(map(eca_kernel_size, outs))

    def backbone(self) -> dict:
        """The config of the backbone.

        Returns:
            dict: For a registry; defaults left out.
        """
        family = 'ResNetD' if self.is_d else 'ResNet'
        cfg = dict(type=f'Attention{family}', depth=self.depth)
        if self.kernel_sizes is not None:
            same = len(set(self.kernel_sizes)) == 1
            cfg.update(type=f'ECA{family}',
                       kernel_size='adaptive' if self.adaptive
                       else self.kernel_sizes[0] if same else self.kernel_sizes)
        if self.stem_widths[-1] != 64:
            cfg['stem_channels'] = self.stem_widths[-1]
        if self.base_channels != 64:
            cfg['base_channels'] = self.base_channels
        if self.expansion != (4 if self.bottleneck else 1):
            cfg['expansion'] = self.expansion
        if not self.is_d:
            return cfg
        usual = AttentionResNetD.arch_settings.get(self.depth)
        if usual is None or usual[1] != self.stage_blocks:
            cfg['stage_blocks'] = self.stage_blocks
        if len(self.stem_widths) != 3:
            cfg['deep_stem'] = False
        elif self.stem_widths[:2] != (32, 32):
            cfg['stem_widths'] = self.stem_widths[:2]
        if not self.avg_down:
            cfg['avg_down'] = False
        if self.groups > 1:
            cfg['groups'] = self.groups
            if self.width_per_group != 4:
                cfg['width_per_group'] = self.width_per_group
        if self.channels is not None:
            cfg['channels'] = self.channels
        return cfg


def _size(weights: Mapping, name: str, dim: int = 0) -> int | None:
    """One size of a weight; None where that is absent or empty."""
    shape = weights[name].shape if name in weights else ()
    return (shape[dim] or None) if len(shape) > dim else None


def _is_pruned(channels: list, widths: list) -> bool:
    """Whether more blocks than a damaged weight or two explain are not as wide as their stage."""
    blocks = [(2**i, block) for i, stage in enumerate(channels) for block in stage]
    odd = sum(any(size and size != factor * width
                  for size, width in zip(block, widths, strict=True)) for factor, block in blocks)
    return odd > 2


def kernel_sizes_of(weights: Mapping[str, Tensor], stage_blocks: Sequence[int]) -> tuple | None:
    """Read the kernel size of every stage's ECA layers.

    Args:
        weights (Mapping[str, Tensor]): A backbone's state dict, without prefix.
        stage_blocks (Sequence[int]): Number of blocks of each stage.

    Returns:
        tuple[int, ...] | None: One size per stage; None if there are no ECA layers.

    Raises:
        UserError: If the layers of a stage differ.
    """
    sizes: list[int | None] = []
    for i, count in enumerate(stage_blocks, 1):
        read = (_size(weights, f'layer{i}.{j}.eca.conv.weight', 2) for j in range(count))
        found = {size for size in read if size is not None}
        if len(found) > 1:
            raise UserError(f'The ECA layers of stage {i} have kernel sizes '
                            f'{", ".join(map(str, sorted(found)))}; ours have one per stage.')
        sizes.append(found.pop() if found else None)
    if not any(sizes):
        return None
    # A stage without any is reported as missing, with whatever size.
    return tuple(size or 3 for size in sizes)
