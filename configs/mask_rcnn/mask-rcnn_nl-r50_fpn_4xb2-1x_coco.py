_base_ = './mask-rcnn_r50_fpn_4xb2-1x_coco.py'

# One block, in the last but one of c4; it starts as the identity, so the plain backbone's weights
# fit. MMDetection's plugins cannot choose blocks, so this is our backbone.
model = dict(
    backbone=dict(
        _delete_=True,
        type='AttentionResNet',
        depth=50,
        attention=[None, None, [None] * 4 + [dict(type='NonLocalBlock'), None], None],
        out_indices=(0, 1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=True,
        style='pytorch',
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')))
