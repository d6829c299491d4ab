_base_ = 'mmpretrain::_base_/models/resnet50.py'

model = dict(backbone=dict(type='ECAResNet', kernel_size='adaptive'))
