_base_ = './mask-rcnn_r50_fpn_4xb2-1x_coco.py'

# The plain detector and one line, MMDetection's plugin.
model = dict(
    backbone=dict(
        plugins=[dict(cfg=dict(type='eca_mm.SELayer'), position='after_conv3')],
        init_cfg=dict(checkpoint='checkpoints/se-resnet50.pth', prefix='backbone.')))
