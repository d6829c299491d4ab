_base_ = 'mmpretrain::_base_/models/resnetv1d50.py'

model = dict(backbone=dict(type='ECAResNetD', kernel_size='adaptive'))
