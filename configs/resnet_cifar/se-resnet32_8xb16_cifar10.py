_base_ = './resnet32_8xb16_cifar10.py'

model = dict(backbone=dict(attention=dict(type='SELayer')))
