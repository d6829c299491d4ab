_base_ = './mask-rcnn_eca-r50_fpn_4xb2-1x_coco.py'

# The kernel sizes of the authors' checkpoint.
model = dict(
    backbone=dict(
        depth=101,
        kernel_size=(3, 3, 5, 7),
        init_cfg=dict(checkpoint='checkpoints/eca-resnet101-k3357.pth')))
