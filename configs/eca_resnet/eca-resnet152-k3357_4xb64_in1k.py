_base_ = './eca-resnet152_4xb64_in1k.py'

model = dict(backbone=dict(kernel_size=(3, 3, 5, 7)))
