_base_ = './eca-resnet50d_8xb32_in1k.py'

model = dict(backbone=dict(stem_widths=(24, 32), groups=32))
