_base_ = '../resnet/resnet50_4xb64_in1k.py'

# Attention in the 3x3 convolutions of c3 to c5, whose maps have these sizes at 224 x 224 pixels.
model = dict(
    backbone=dict(
        type='AttentionResNet',
        conv2_cfg=[
            None,
            dict(type='AAConv2d', map_size=28, downsample=2),
            dict(type='AAConv2d', map_size=14),
            dict(type='AAConv2d', map_size=7),
        ]))
