_base_ = [
    '../_base_/models/retinanet_eca-r50_fpn.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/coco_bs8_1x.py',
    '../_base_/default_runtime_mmdet.py',
]

# The kernel sizes of the authors' checkpoint. For adaptive ones override both lines with
# kernel_size='adaptive' and checkpoints/eca-resnet50.pth.
model = dict(
    backbone=dict(
        kernel_size=(3, 3, 7, 7),
        init_cfg=dict(checkpoint='checkpoints/eca-resnet50-k3377.pth')))
