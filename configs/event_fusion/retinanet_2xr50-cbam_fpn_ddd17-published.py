_base_ = './retinanet_2xr50-eca_fpn_ddd17-published.py'

model = dict(backbone=dict(fusion=dict(attention=dict(type='CBAM'))))
