_base_ = './retinanet_2xr50-eca_fpn_dsec.py'

# _delete_: a concatenation takes no attention.
model = dict(backbone=dict(fusion=dict(_delete_=True, type='ConcatFusion')))
