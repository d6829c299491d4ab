# The training of FRN's code as far as it is known: from scratch, BN in evaluation mode from the
# start (so it scales and shifts, no more), no flips. Its plateau is that of the training loss.
_base_ = './retinanet_2xr50-eca_fpn_ddd17.py'

init_cfg = [
    dict(type='Kaiming', layer=['Conv2d']),
    dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']),
]
stream = dict(norm_eval=True, zero_init_residual=False, init_cfg=init_cfg)
model = dict(
    # 0.403 and 0.295 of the published code, times 255.
    data_preprocessor=dict(bgr_to_rgb=False, mean=[102.765] * 3, std=[75.225] * 3),
    backbone=dict(frame=stream, event=stream))
train_dataloader = dict(
    batch_size=4,
    dataset=dict(pipeline=[dict(type='SeedSample'), *_base_.load, dict(type='PackDetInputs')]))
train_cfg = dict(max_epochs=200)
optim_wrapper = dict(
    _delete_=True,  # the base's optimiser has other arguments
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-4),
    clip_grad=dict(max_norm=0.1),
    accumulative_counts=2)
param_scheduler = [dict(
    type='ReduceOnPlateauLR', monitor='events/mAP', rule='greater', patience=3,
    factor=0.1, by_epoch=True)]
auto_scale_lr = dict(base_batch_size=8)
