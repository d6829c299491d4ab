_base_ = '../resnet/resnet50_4xb64_in1k.py'

# At the end of c3, c4 and c5; c5 keeps the resolution of c4, as in GSoP-Net1.
gsop = dict(type='GSoPLayer', cov_channels=128)
model = dict(
    backbone=dict(
        type='AttentionResNet',
        strides=(1, 2, 2, 1),
        attention=[None, [None] * 3 + [gsop], [None] * 5 + [gsop], [None] * 2 + [gsop]]))
