_base_ = './mask-rcnn_r50_fpn_4xb2-1x_coco.py'

# One block, in the last but one of c4; it starts as the identity, so the plain backbone's weights
# fit. MMDetection's plugins cannot choose blocks, so this is our backbone.
model = dict(
    backbone=dict(
        type='AttentionResNet',
        attention=[None, None, [None] * 4 + [dict(type='NonLocalBlock'), None], None]))
