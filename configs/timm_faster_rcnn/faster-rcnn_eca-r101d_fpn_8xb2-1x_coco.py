_base_ = './faster-rcnn_eca-r50d_fpn_8xb2-1x_coco.py'

model = dict(
    backbone=dict(
        depth=101,
        init_cfg=dict(checkpoint='checkpoints/eca-resnet101d.pth')))
