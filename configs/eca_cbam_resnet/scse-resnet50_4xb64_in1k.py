_base_ = '../resnet/resnet50_4xb64_in1k.py'

model = dict(backbone=dict(type='AttentionResNet', attention=dict(type='SCSELayer')))
