"""Files as the authors of ECA-Net published them; their naming is written down here."""
import torch
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from tests.support.catalog import load

# (expansion, blocks, kernel sizes of the published file, our config)
RESNETS = {
    18: (1, (2, 2, 2, 2), (3, 5, 7, 7), 'eca-resnet18-k3577'),
    34: (1, (3, 4, 6, 3), (3, 3, 5, 7), 'eca-resnet34-k3357'),
    50: (4, (3, 4, 6, 3), (3, 5, 5, 7), 'eca-resnet50-k3557'),
    101: (4, (3, 4, 23, 3), (3, 3, 5, 7), 'eca-resnet101-k3357'),
    152: (4, (3, 8, 36, 3), (3, 3, 5, 7), 'eca-resnet152-k3357'),
}


def norm(name: str, channels: int) -> dict:
    """A BN's entries; files of that time may lack the batch counter."""
    return {f'{name}.weight': torch.rand(channels) / 2 + 0.5, f'{name}.bias': torch.rand(channels),
            f'{name}.running_mean': torch.rand(channels),
            f'{name}.running_var': torch.rand(channels) + 0.5}


def resnet(depth: int, kernel_sizes: tuple, classes: int = 1000) -> dict:
    """The names and shapes of an ECA-ResNet's weights."""
    expansion, blocks, _, _ = RESNETS[depth]
    weights = {'conv1.weight': torch.randn(64, 3, 7, 7) / 12, **norm('bn1', 64)}
    channels = 64
    for stage, (count, k) in enumerate(zip(blocks, kernel_sizes, strict=True)):
        width, out = 64 * 2**stage, 64 * 2**stage * expansion
        for block in range(count):
            name = f'layer{stage + 1}.{block}'
            shapes = ([(width, channels, 1), (width, width, 3), (out, width, 1)] if expansion == 4
                      else [(width, channels, 3), (width, width, 3)])
            for i, (o, c, size) in enumerate(shapes, 1):
                weights[f'{name}.conv{i}.weight'] = torch.randn(o, c, size, size) / (c**.5 * size)
                weights.update(norm(f'{name}.bn{i}', o))
            weights[f'{name}.eca.conv.weight'] = torch.randn(1, 1, k)
            if block == 0 and (stage or expansion == 4):
                weights[f'{name}.downsample.0.weight'] = torch.randn(
                    out, channels, 1, 1) / channels**.5
                weights.update(norm(f'{name}.downsample.1', out))
            channels = out
    if classes:
        weights['fc.weight'] = torch.randn(classes, channels) / channels**.5
        weights['fc.bias'] = torch.randn(classes)
    return weights


def mobilenet_v2(last_wide: int = 96, classes: int = 1000) -> dict:
    """The names and shapes of an ECA-MobileNetV2's weights; k = 1 below ``last_wide`` channels."""

    def conv(name, out, inner, size):
        return {f'{name}.weight': torch.randn(out, inner, size, size) / (inner**.5 * size)}

    weights = {**conv('features.0.0', 32, 3, 3), **norm('features.0.1', 32)}
    index, channels = 1, 32
    for factor, out, count in ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3),
                               (6, 160, 3), (6, 320, 1)):
        for _ in range(count):
            name, hidden, layer = f'features.{index}.conv', channels * factor, 0
            if factor > 1:
                weights.update(conv(f'{name}.0.0', hidden, channels, 1))
                weights.update(norm(f'{name}.0.1', hidden))
                layer = 1
            weights.update(conv(f'{name}.{layer}.0', hidden, 1, 3))
            weights.update(norm(f'{name}.{layer}.1', hidden))
            weights.update(conv(f'{name}.{layer + 1}', out, hidden, 1))
            weights.update(norm(f'{name}.{layer + 2}', out))
            weights[f'{name}.{layer + 3}.conv.weight'] = torch.randn(
                1, 1, 1 if out < last_wide else 3)
            index, channels = index + 1, out
    weights.update(conv('features.18.0', 1280, 320, 1))
    weights.update(norm('features.18.1', 1280))
    weights['classifier.1.weight'] = torch.randn(classes, 1280) / 1280**.5
    weights['classifier.1.bias'] = torch.randn(classes)
    return weights


def published(weights: dict, arch: str) -> dict:
    """What the authors' training script saves, from inside a DataParallel."""
    return dict(epoch=99, arch=arch, best_prec1=77.4, optimizer=dict(state={}, param_groups=[]),
                state_dict={f'module.{name}': value for name, value in weights.items()})


def model_of(conversion) -> nn.Module:
    config = load(conversion.base)
    config.merge_from_dict(conversion.changes)
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = MODELS.build(config.model)
    model.load_state_dict(conversion.weights, strict=False)
    return model.eval()


def conv(name: str, out: int, inner: int, size: int) -> dict:
    return {f'{name}.weight': torch.randn(out, inner, size, size) * 0.02,
            f'{name}.bias': torch.randn(out) * 0.02}


def linear(name: str, out: int, inner: int) -> dict:
    return {f'{name}.weight': torch.randn(out, inner) * 0.02, f'{name}.bias': torch.randn(out)}


def detector(kind: str, kernel_sizes: tuple) -> dict:
    """The names and shapes of a detector's weights in mmdetection 1.x: background is class 0."""
    weights = {f'backbone.{name}': value
               for name, value in resnet(50, kernel_sizes, classes=0).items()}
    retina = kind == 'retinanet'
    for i, channels in enumerate((512, 1024, 2048) if retina else (256, 512, 1024, 2048)):
        weights.update(conv(f'neck.lateral_convs.{i}.conv', 256, channels, 1))
        weights.update(conv(f'neck.fpn_convs.{i}.conv', 256, 256, 3))
    if retina:
        weights.update(conv('neck.fpn_convs.3.conv', 256, 2048, 3))
        weights.update(conv('neck.fpn_convs.4.conv', 256, 256, 3))
        for i in range(4):
            weights.update(conv(f'bbox_head.cls_convs.{i}.conv', 256, 256, 3))
            weights.update(conv(f'bbox_head.reg_convs.{i}.conv', 256, 256, 3))
        weights.update(conv('bbox_head.retina_cls', 720, 256, 3))
        weights.update(conv('bbox_head.retina_reg', 36, 256, 3))
        return weights
    weights.update(conv('rpn_head.rpn_conv', 256, 256, 3))
    weights.update(conv('rpn_head.rpn_cls', 3, 256, 1))
    weights.update(conv('rpn_head.rpn_reg', 12, 256, 1))
    weights.update(linear('bbox_head.shared_fcs.0', 1024, 256 * 49))
    weights.update(linear('bbox_head.shared_fcs.1', 1024, 1024))
    weights.update(linear('bbox_head.fc_cls', 81, 1024))
    weights.update(linear('bbox_head.fc_reg', 324, 1024))
    if kind == 'mask_rcnn':
        for i in range(4):
            weights.update(conv(f'mask_head.convs.{i}.conv', 256, 256, 3))
        weights['mask_head.upsample.weight'] = torch.randn(256, 256, 2, 2) * 0.02
        weights['mask_head.upsample.bias'] = torch.randn(256)
        weights.update(conv('mask_head.conv_logits', 81, 256, 1))
    return weights
