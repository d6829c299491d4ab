_base_ = './eca-resnext26ts_8xb32_in1k.py'

model = dict(backbone=dict(model_name='eca_resnet33ts'), head=dict(in_channels=1280))
