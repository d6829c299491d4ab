# The ECA half of docs/visualization.md: 20 epochs, in which the new attention learns, too; its few
# weights have to go far.
_base_ = './eca-mobilenet-v2_1xb32-10e_imagenet200.py'

train_cfg = dict(max_epochs=20)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'.eca.': dict(lr_mult=100)}))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=25),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=20, convert_to_iter_based=True),
]
