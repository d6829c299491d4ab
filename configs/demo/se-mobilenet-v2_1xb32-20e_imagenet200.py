# The SE half of docs/visualization.md: everything but the attention is that of the ECA half.
_base_ = './eca-mobilenet-v2_1xb32-20e_imagenet200.py'

model = dict(
    backbone=dict(
        _delete_=True,  # kernel_size is ECA's and would stay
        type='AttentionMobileNetV2',
        widen_factor=1.0,
        attention=dict(type='SELayer', reduction=8),
        # Gates near 0.5; of exactly 0.5 they would be forever if both layers were zero.
        init_cfg=[
            dict(type='Kaiming', layer='Conv2d'),
            dict(type='Constant', layer='_BatchNorm', val=1),
            dict(type='Normal', layer='Linear', std=0.01),
        ]))
optim_wrapper = dict(
    paramwise_cfg=dict(
        # _delete_: the rate of '.eca.' would stay, and match nothing
        custom_keys=dict(_delete_=True, **{'head': dict(lr_mult=4), '.se.': dict(lr_mult=10)})))
