"""Files as the authors of ECA-Net published them; their naming is written down here."""
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.registry import MODELS, DefaultScope
from torch import nn
from torch.nn import functional as F

from eca_mm.checkpoints.converters.ecanet import from_ecanet
from eca_mm.checkpoints.keys import MisfitError
from eca_mm.utils.errors import UserError
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


def run_resnet(weights: dict, x: torch.Tensor) -> torch.Tensor:
    """The network as the paper describes it, written out."""

    def bn(name, x):
        return F.batch_norm(x, *(weights[f'{name}.{key}'] for key in (
            'running_mean', 'running_var', 'weight', 'bias')))

    x = F.max_pool2d(bn('bn1', F.conv2d(x, weights['conv1.weight'], None, 2, 3)).relu(), 3, 2, 1)
    for stage in range(1, 5):
        block = 0
        while f'layer{stage}.{block}.conv1.weight' in weights:
            name, out, last = f'layer{stage}.{block}', x, 2
            if f'{name}.conv3.weight' in weights:
                last = 3
            for i in range(1, last + 1):
                weight = weights[f'{name}.conv{i}.weight']
                # The 3x3 convolution of a bottleneck and the first of a basic block have strides.
                strided = stage > 1 and block == 0 and i == last - 1
                out = bn(f'{name}.bn{i}', F.conv2d(out, weight, None, 1 + strided,
                                                   weight.shape[-1] // 2))
                out = out.relu() if i < last else out
            eca = weights[f'{name}.eca.conv.weight']
            gate = F.conv1d(out.mean((2, 3))[:, None], eca, padding=eca.shape[-1] // 2).sigmoid()
            if f'{name}.downsample.0.weight' in weights:
                x = bn(f'{name}.downsample.1', F.conv2d(
                    x, weights[f'{name}.downsample.0.weight'], None, 1 + (stage > 1)))
            x = (out * gate[:, 0, :, None, None] + x).relu()
            block += 1
    return F.linear(x.mean((2, 3)), weights['fc.weight'], weights['fc.bias'])


@pytest.mark.parametrize('depth', [
    18, 50, *(pytest.param(depth, marks=pytest.mark.slow) for depth in (34, 101, 152))])
def test_resnet(depth):
    _, _, kernel_sizes, name = RESNETS[depth]
    weights = resnet(depth, kernel_sizes)
    conversion = from_ecanet(published(weights, 'se_resnet50'))
    assert (conversion.base, conversion.changes) == (f'eca_resnet/{name}_4xb64_in1k.py', {})
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model_of(conversion)(images, mode='tensor'),
                                   run_resnet(weights, images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(('kernel_sizes', 'name', 'written'), [
    ((5, 5, 5, 5), 'eca-resnet50-k5', None),
    ((5, 5, 5, 7), 'eca-resnet50', None),
    ((3, 9, 1, 3), 'eca-resnet50', (3, 9, 1, 3)),
])
def test_kernel_sizes_are_read(kernel_sizes, name, written):
    conversion = from_ecanet(resnet(50, kernel_sizes))
    assert conversion.base == f'eca_resnet/{name}_4xb64_in1k.py'
    backbone = conversion.changes.get('model', {}).get('backbone', {})
    assert backbone.get('kernel_size') == written


def test_classes_are_read():
    conversion = from_ecanet(resnet(18, (3, 5, 7, 7), classes=12))
    assert conversion.base == 'eca_resnet/eca-resnet18-k3577_4xb64_in1k.py'
    assert conversion.changes['model'] == dict(head=dict(num_classes=12))
    assert model_of(conversion).head.fc.out_features == 12


@pytest.mark.parametrize(('first_wide', 'written'), [
    (96, None), (97, (1, 1, 1, 1, 1, 3, 3))])
def test_mobilenet_v2(first_wide, written):
    weights = mobilenet_v2(first_wide)
    conversion = from_ecanet(published(weights, 'eca_mobilenet_v2'))
    assert ('k13' in conversion.base) == (written is None)
    backbone = conversion.changes.get('model', {}).get('backbone', {})
    assert backbone.get('kernel_size') == written
    block = model_of(conversion).backbone.layer5[0]
    source = 'features.11.conv'
    x = torch.randn(1, 64, 8, 8)

    def bn(name, x):
        return F.batch_norm(x, *(weights[f'{source}.{name}.{key}'] for key in (
            'running_mean', 'running_var', 'weight', 'bias')))

    hidden = bn('0.1', F.conv2d(x, weights[f'{source}.0.0.weight'])).clamp(0, 6)
    hidden = bn('1.1', F.conv2d(hidden, weights[f'{source}.1.0.weight'], padding=1,
                                groups=384)).clamp(0, 6)
    out = bn('3', F.conv2d(hidden, weights[f'{source}.2.weight']))
    eca = weights[f'{source}.4.conv.weight']
    gate = F.conv1d(out.mean((2, 3))[:, None], eca, padding=eca.shape[-1] // 2).sigmoid()
    with torch.no_grad():
        torch.testing.assert_close(block(x), out * gate[:, 0, :, None, None])


@pytest.mark.parametrize(('change', 'message'), [
    (lambda w: [w.pop(name) for name in list(w) if '.eca.' in name], 'has no ECA layers'),
    (lambda w: w.pop('layer2.0.eca.conv.weight'), 'not that of the network'),
    (lambda w: w.update({'layer3.0.bn1.weight': torch.ones(7)}), 'have another shape'),
])
def test_other_files_are_refused(change, message):
    weights = resnet(18, (3, 5, 7, 7))
    change(weights)
    with pytest.raises(UserError, match=message):
        from_ecanet(weights)


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


@pytest.mark.parametrize(('kind', 'kernel_sizes', 'written'), [
    ('faster_rcnn', (5, 5, 5, 5), 5), ('retinanet', (3, 3, 7, 7), (3, 3, 7, 7)),
    pytest.param('mask_rcnn', (3, 3, 7, 7), (3, 3, 7, 7), marks=pytest.mark.slow)])
def test_detector(kind, kernel_sizes, written):
    weights = detector(kind, kernel_sizes)
    conversion = from_ecanet(dict(meta={}, state_dict=weights))
    assert conversion.base == f'{kind}/{kind.replace("_", "-")}_eca-r50_fpn_4xb2-1x_coco.py'
    assert conversion.changes['model']['backbone']['kernel_size'] == written
    model = model_of(conversion)
    if kind == 'retinanet':
        head = model.bbox_head
        torch.testing.assert_close(head.retina_cls.weight.data,
                                   weights['bbox_head.retina_cls.weight'])
        coders, generator = [head.bbox_coder], head.prior_generator
    else:
        head = model.roi_head.bbox_head
        features = torch.randn(5, 256, 7, 7)
        shared = features.flatten(1)
        for i in range(2):
            shared = F.linear(shared, weights[f'bbox_head.shared_fcs.{i}.weight'],
                              weights[f'bbox_head.shared_fcs.{i}.bias']).relu()
        scores, deltas = (F.linear(shared, weights[f'bbox_head.{layer}.weight'],
                                   weights[f'bbox_head.{layer}.bias'])
                          for layer in ('fc_cls', 'fc_reg'))
        with torch.no_grad():
            new_scores, new_deltas = head(features)
        # Scores and boxes of each class are what they were, and background comes last.
        torch.testing.assert_close(new_scores.softmax(1)[:, :80], scores.softmax(1)[:, 1:])
        torch.testing.assert_close(new_deltas, deltas[:, 4:])
        coders = [head.bbox_coder, model.rpn_head.bbox_coder]
        generator = model.rpn_head.prior_generator
        for extractor in ('bbox_roi_extractor', 'mask_roi_extractor'):
            for layer in getattr(getattr(model.roi_head, extractor, None), 'roi_layers', ()):
                assert (layer.aligned, layer.sampling_ratio) == (False, 2)
    if kind == 'mask_rcnn':
        torch.testing.assert_close(model.roi_head.mask_head.conv_logits.weight.data,
                                   weights['mask_head.conv_logits.weight'][1:])
    # The box is 8 pixels wide, both end pixels counted; twice that is 16 of today's width.
    for coder in coders:
        twice = torch.tensor([[0., 0., 2., 1.]]).log().nan_to_num(neginf=0) / coder.stds[2]
        torch.testing.assert_close(coder.decode(torch.tensor([[10., 20., 17., 27.]]), twice),
                                   torch.tensor([[5.5, 19.5, 21.5, 27.5]]))
    anchors = generator.grid_priors([(1, 1)] * len(generator.strides), device='cpu')[0]
    # Of 1.x: round corners around the middle of the first cell, (stride - 1) / 2.
    assert torch.equal(anchors, anchors.round())
    middle = (generator.strides[0][0] - 1) / 2
    torch.testing.assert_close((anchors[:, :2] + anchors[:, 2:]) / 2,
                               torch.full((len(anchors), 2), middle), atol=0.51, rtol=0)
    sample = DetDataSample(metainfo=dict(img_shape=(64, 64), ori_shape=(64, 64),
                                         pad_shape=(64, 64), batch_input_shape=(64, 64),
                                         scale_factor=(1., 1.)))
    with torch.no_grad():
        result, = model.predict(torch.randn(1, 3, 64, 64), [sample])
    assert result.pred_instances.bboxes.isfinite().all()
    assert any('mmdetection 1.x' in note for note in conversion.notes)


def test_detector_of_today_is_not_converted():
    weights = {'roi_head.bbox_head.fc_cls.weight': torch.ones(81, 4)}
    with pytest.raises(UserError, match='nothing to convert'):
        from_ecanet(weights)


def test_incomplete_detector_is_refused():
    weights = detector('faster_rcnn', (5, 5, 5, 5))
    del weights['bbox_head.fc_reg.bias']
    with pytest.raises(MisfitError, match=r'1 are missing in it \(roi_head\.bbox_head\.fc_reg\.b'):
        from_ecanet(weights)
