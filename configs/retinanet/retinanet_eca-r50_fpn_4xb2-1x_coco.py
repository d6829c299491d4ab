_base_ = './retinanet_r50_fpn_4xb2-1x_coco.py'

# The kernel sizes of the authors' checkpoint. For adaptive ones override both lines with
# kernel_size='adaptive' and checkpoints/eca-resnet50.pth.
model = dict(
    backbone=dict(
        type='ECAResNet',
        kernel_size=(3, 3, 7, 7),
        init_cfg=dict(checkpoint='checkpoints/eca-resnet50-k3377.pth', prefix='backbone.')))
