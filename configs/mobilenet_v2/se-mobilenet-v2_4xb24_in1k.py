_base_ = './mobilenet-v2_4xb24_in1k.py'

# On the output of every block, with the paper's reduction ratio.
model = dict(
    backbone=dict(type='AttentionMobileNetV2', attention=dict(type='SELayer', reduction=8)))
