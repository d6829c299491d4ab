_base_ = './eca-resnet50d_8xb32_in1k.py'

model = dict(backbone=dict(stage_blocks=(1, 1, 11, 3), deep_stem=False))
