_base_ = './retinanet_2xr50-eca_fpn_ddd17.py'

model = dict(
    data_preprocessor=dict(frame_dropout=0.),
    backbone=dict(event=None, fusion=None),
    neck=dict(in_channels=[256, 512, 1024, 2048]))
