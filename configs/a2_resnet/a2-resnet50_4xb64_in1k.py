_base_ = '../resnet/resnet50_4xb64_in1k.py'

# Five blocks, as in the A2-Nets paper: two in c3 and three in c4.
a2 = dict(type='DoubleAttention', reduction=2)
model = dict(
    backbone=dict(
        type='AttentionResNet',
        attention=[None, [None, a2] * 2, [None, a2] * 3, None]))
