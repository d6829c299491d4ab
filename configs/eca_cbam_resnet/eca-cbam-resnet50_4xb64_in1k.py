_base_ = '../resnet/resnet50_4xb64_in1k.py'

# parallel=True puts the two side by side.
model = dict(backbone=dict(type='AttentionResNet', attention=dict(type='ECASpatialLayer')))
