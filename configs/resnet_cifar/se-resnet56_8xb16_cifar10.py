_base_ = './resnet56_8xb16_cifar10.py'

model = dict(backbone=dict(attention=dict(type='SELayer')))
