_base_ = './retinanet_2xr50-eca_fpn_dsec.py'

model = dict(backbone=dict(fusion=dict(_delete_=True, type='ConcatFusion')))
