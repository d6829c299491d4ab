_base_ = './faster-rcnn_r50_fpn_4xb2-1x_coco.py'

# The kernel sizes of the authors' checkpoint. For adaptive ones override both lines with
# kernel_size='adaptive' and checkpoints/eca-resnet50.pth.
model = dict(
    backbone=dict(
        type='ECAResNet',
        kernel_size=5,
        init_cfg=dict(checkpoint='checkpoints/eca-resnet50-k5.pth', prefix='backbone.')))
