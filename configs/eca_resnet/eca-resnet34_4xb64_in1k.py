_base_ = '../resnet/resnet34_4xb64_in1k.py'

model = dict(backbone=dict(type='ECAResNet', kernel_size='adaptive'))
