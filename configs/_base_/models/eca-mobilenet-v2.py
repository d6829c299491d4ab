_base_ = 'mmpretrain::_base_/models/mobilenet_v2_1x.py'

model = dict(backbone=dict(type='ECAMobileNetV2', kernel_size='adaptive'))
