_base_ = 'mmpretrain::_base_/models/resnet101.py'

model = dict(backbone=dict(type='ECAResNet', kernel_size='adaptive'))
