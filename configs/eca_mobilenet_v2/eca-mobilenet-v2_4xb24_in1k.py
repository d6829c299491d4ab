_base_ = '../mobilenet_v2/mobilenet-v2_4xb24_in1k.py'

model = dict(backbone=dict(type='ECAMobileNetV2', kernel_size='adaptive'))
