_base_ = './resnext101-32x4d_4xb64_in1k.py'

model = dict(backbone=dict(depth=50))
