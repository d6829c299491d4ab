"""Names of MobileNetV2's weights in torchvision, in the authors' files and in older ones."""
import re
from collections.abc import Iterable

from mmpretrain.models.backbones import MobileNetV2

# (stage, block) of torchvision's features.1 to features.17, which have no stages.
_BLOCKS = [(stage, block) for stage, (_, _, blocks, _) in enumerate(MobileNetV2.arch_settings, 1)
           for block in range(blocks)]
_PARTS = ('conv', 'bn')


def mobilenet_v2_names(names: Iterable[str]) -> dict[str, str]:
    """Translate the names of a MobileNetV2's weights into mmpretrain's.

    Two namings are understood. Both number everything along ``features``; torchvision nests each
    convolution, BN and ReLU6 of a block in one Sequential (``features.2.conv.0.1``), the older one
    counts straight on (``features.2.conv.1``). The authors of ECA-Net have the attention at the end
    of torchvision's block (``features.2.conv.4.conv.weight``).

    Args:
        names (Iterable[str]): All names of the state dict.

    Returns:
        dict[str, str]: mmpretrain's name of each name that is a MobileNetV2's; others are absent.
    """
    names = list(names)
    nested = any(re.match(r'features\.\d+\.conv\.\d+\.\d+\.', name) for name in names)
    translated = {name: _translate(name, nested) for name in names}
    return {name: ours for name, ours in translated.items() if ours is not None}


def _translate(name: str, nested: bool) -> str | None:
    match = re.fullmatch(r'features\.(0|18)\.([01])\.(\w+)', name)
    if match:
        index, part, rest = match.groups()
        return f'backbone.{"conv1" if index == "0" else "conv2"}.{_PARTS[int(part)]}.{rest}'
    match = re.fullmatch(r'classifier\.(?:1\.)?(weight|bias)', name)
    if match:
        return f'head.fc.{match[1]}'
    match = re.fullmatch(r'features\.(\d+)\.conv\.(\d+)(?:\.(\d+))?\.((?:conv\.)?[a-z]\w*)', name)
    if match is None or not 1 <= int(match[1]) <= len(_BLOCKS):
        return None
    stage, block = _BLOCKS[int(match[1]) - 1]
    index = int(match[2])
    if match[4] == 'conv.weight':
        return f'backbone.layer{stage}.{block}.eca.conv.weight'
    if match[3] is not None:
        layer, part = index, int(match[3])
    elif nested:
        # The projection is not nested: its convolution and BN follow the other layers.
        last = 1 if match[1] == '1' else 2
        layer, part = last, index - last
    else:
        layer, part = divmod(index, 3)
    if part not in (0, 1):
        return None
    return f'backbone.layer{stage}.{block}.conv.{layer}.{_PARTS[part]}.{match[4]}'
