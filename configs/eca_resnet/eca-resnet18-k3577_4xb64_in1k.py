_base_ = './eca-resnet18_4xb64_in1k.py'

model = dict(backbone=dict(kernel_size=(3, 5, 7, 7)))
