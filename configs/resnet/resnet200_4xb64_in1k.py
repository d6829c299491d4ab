_base_ = './resnet50_4xb64_in1k.py'

# MMPretrain's ResNet stops at depth 152.
model = dict(backbone=dict(type='AttentionResNet', depth=200))
