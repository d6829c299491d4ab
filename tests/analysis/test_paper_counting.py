"""The counter behind the paper's tables, against hand counts and against mmengine's analyser."""
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.hub import get_config
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import nn
from torch.nn import functional as F

from eca_mm.analysis import build_model, count_parameters, measure_complexity
from eca_mm.analysis.paper_counting import (
    DETECTION,
    IMAGENET,
    IMAGENET_WITHOUT_RELU,
    PLAIN,
    background_class_cost,
    count_operations,
    total,
)


@pytest.fixture
def every_operation():
    """A network with each of the operations that have a count, on 8 x 12 pixels."""

    class Backbone(BaseModule):

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1, groups=1)  # 4 x 4 x 6
            self.bn = nn.BatchNorm2d(4)
            self.deconv = nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2)  # 6 x 8 x 12
            self.fc = nn.Linear(6, 5)
            self.norm = nn.LayerNorm(5)

        def forward(self, x):
            x = F.relu6(self.bn(self.conv(x)))
            pooled = F.max_pool2d(x, 2)
            rows = torch.einsum('ncij,ncjk->nik', pooled, pooled.transpose(2, 3))
            rows = rows @ rows
            x = self.deconv(x)
            gate = self.norm(self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1)))
            x = F.interpolate(x, scale_factor=2) * gate.mean() * rows.mean()
            return x.unsqueeze(0)[0],

    MODELS.register_module('EveryOperation', module=Backbone)
    yield build_model(ConfigDict(default_scope='mmpretrain', model=dict(
        type='mmpretrain.ImageClassifier', backbone=dict(type='EveryOperation'),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=dict(type='mmpretrain.LinearClsHead', num_classes=7, in_channels=6))))
    MODELS.module_dict.pop('EveryOperation')


def test_operations_by_hand(every_operation):
    assert +count_operations(every_operation, (8, 12)) == dict(
        conv=4 * 4 * 6 * 3 * 9, bias=4 * 24 + 6 * 96, batch_norm=96, relu=96, max_pool=96,
        matmul=4 * 2 * 2 * 3 + 2 * 2 * 2, deconv=4 * 24 * 3 * 4, deconv_outputs=4 * 4 * 24 * 3 * 4,
        attention_pool=6 * 96, linear=6 * 5 + 6 * 7, linear_outputs=5 + 7, layer_norm=5 * 5,
        resize=6 * 4 * 96, global_pool=6 * 4 * 96)


def test_conventions_by_hand(every_operation):
    counts = count_operations(every_operation, (8, 12))
    conv, deconv, linear = counts['conv'], counts['deconv'], counts['linear']
    with_relu = conv + deconv + 2 * linear - 12 + 4 * 96 + 96 + 6 * 96
    assert total(counts, IMAGENET) == with_relu
    assert total(counts, IMAGENET_WITHOUT_RELU) == with_relu - 96
    assert total(counts, DETECTION) == (
        conv + 4 * deconv + counts['bias'] + linear + 2 * 96 + 96 + 6 * 96 + 96)


@pytest.mark.parametrize('name', [
    'eca_resnet/eca-resnet18-k3577_4xb64_in1k',
    'mobilenet_v2/se-mobilenet-v2_4xb24_in1k',
    pytest.param('gc_resnet/gc-resnet50_4xb64_in1k', marks=pytest.mark.slow),
    pytest.param('mask_rcnn/mask-rcnn_nl-r50_fpn_4xb2-1x_coco', marks=pytest.mark.slow),
    pytest.param('retinanet/retinanet_se-r50_fpn_4xb2-1x_coco', marks=pytest.mark.slow),
])
def test_plain_is_what_mmengine_counts(name):
    config = get_config(f'eca_mm::{name}.py')
    shape = (64, 96) if 'resnet' in name or 'mobile' in name else (800, 1280)
    expected = measure_complexity(build_model(config), shape).flops
    assert total(count_operations(build_model(config), shape), PLAIN) == expected


def test_heads_of_mmdetection_1_had_one_class_more():
    """Their sizes: 81 classes with 4 box offsets each, and 81 masks of 28 x 28 pixels."""
    config = get_config('eca_mm::mask_rcnn/mask-rcnn_r50_fpn_4xb2-1x_coco.py')
    model = build_model(config)
    params, counts = background_class_cost(model)
    old = nn.Linear(1024, 4 * 81), nn.Conv2d(256, 81, 1)
    new = model.roi_head.bbox_head.fc_reg, model.roi_head.mask_head.conv_logits
    assert params == sum(count_parameters(a)[0] - count_parameters(b)[0]
                         for a, b in zip(old, new, strict=True))
    assert counts == dict(linear=1000 * 1024 * 4, conv=100 * 28 * 28 * 256, bias=100 * 28 * 28)
    assert background_class_cost(model.backbone) == (0, {})
