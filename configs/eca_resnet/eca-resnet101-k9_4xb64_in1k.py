_base_ = './eca-resnet101_4xb64_in1k.py'

model = dict(backbone=dict(kernel_size=9))
