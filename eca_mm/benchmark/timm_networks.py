"""timm's ResNets, plain or with its own attentions, to compare with."""
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from eca_mm.checkpoints.converters.timm import timm_names

_LAYERS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3),
           152: (3, 8, 36, 3)}


class TimmResNet(nn.Module):
    """A ResNet of timm with random weights.

    Args:
        depth (int): Network depth, one of 18, 34, 50, 101 and 152.
        attention (str): timm's name of the attention, ``'eca'`` or ``'se'``; empty for none.
        all_levels (bool): Whether to return the maps of the four stages instead of class scores.

    Raises:
        ImportError: If timm is not installed.
    """

    def __init__(self, depth: int, attention: str, all_levels: bool) -> None:
        super().__init__()
        from timm.models.resnet import BasicBlock, Bottleneck, ResNet
        self.network = ResNet(BasicBlock if depth < 50 else Bottleneck, _LAYERS[depth],
                              block_args=dict(attn_layer=attention or None))
        self.kind, self.all_levels = attention, all_levels
        for name, parameter in self.named_parameters():
            # Ours has no biases there; with the same weights it must be the same function.
            if name.endswith(('.se.fc1.bias', '.se.fc2.bias')):
                nn.init.zeros_(parameter)

    def our_names(self) -> dict[str, str]:
        """Translate the names of the weights into those of our classifiers.

        Returns:
            dict[str, str]: Our name of each.
        """
        names = timm_names(self.network.state_dict())
        return {f'network.{name}': ours.replace('.eca.', f'.{self.kind}.')
                for name, ours in names.items()}

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Put images (N, 3, H, W) through the network.

        Args:
            x (Tensor): Images of shape (N, 3, H, W).

        Returns:
            Tensor | list[Tensor]: Class scores of shape (N, 1000), or the maps of the four stages.
        """
        if not self.all_levels:
            return self.network(x)
        net = self.network
        maps = [net.maxpool(net.act1(net.bn1(net.conv1(x))))]
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            maps.append(stage(maps[-1]))
        return maps[1:]


@torch.no_grad()
def fold(model: TimmResNet) -> TimmResNet:
    """Fold the normalisations of timm's ResNet into the convolutions before them, in place.

    Args:
        model (TimmResNet): In evaluation mode.

    Returns:
        TimmResNet: The same module.
    """
    for module in model.modules():
        pairs = [(f'conv{i}', f'bn{i}') for i in (1, 2, 3) if hasattr(module, f'bn{i}')]
        if isinstance(module, nn.Sequential) and [type(m) for m in module] == [
                nn.Conv2d, nn.BatchNorm2d]:
            pairs = [('0', '1')]
        for conv, norm in pairs:
            setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm)))
            setattr(module, norm, nn.Identity())
    return model
