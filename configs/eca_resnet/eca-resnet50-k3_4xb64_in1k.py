_base_ = './eca-resnet50_4xb64_in1k.py'

model = dict(backbone=dict(kernel_size=3))
