# From scratch, as in FRN's code as far as it is known: BN is in evaluation mode from the start, so
# it only scales and shifts.
_base_ = './retinanet_2xr50-eca_fpn.py'

init_cfg = [
    dict(type='Kaiming', layer=['Conv2d']),
    dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']),
]
stream = dict(norm_eval=True, zero_init_residual=False, init_cfg=init_cfg)
model = dict(backbone=dict(frame=stream, event=stream))
