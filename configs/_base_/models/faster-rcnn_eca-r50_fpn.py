_base_ = 'mmdet::_base_/models/faster-rcnn_r50_fpn.py'

# All that matters is stated: mmpretrain's ResNet, the parent, has other defaults than mmdet's.
model = dict(
    backbone=dict(
        _delete_=True,
        type='ECAResNet',
        depth=50,
        kernel_size='adaptive',
        out_indices=(0, 1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=True,
        style='pytorch',
        init_cfg=dict(
            type='Pretrained', checkpoint='checkpoints/eca-resnet50.pth', prefix='backbone.')))
