_base_ = './eca-resnet50d_8xb32_in1k.py'

model = dict(backbone=dict(depth=101))
