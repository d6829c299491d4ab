_base_ = 'mmpretrain::_base_/models/resnet34.py'

model = dict(backbone=dict(type='ECAResNet', kernel_size='adaptive'))
