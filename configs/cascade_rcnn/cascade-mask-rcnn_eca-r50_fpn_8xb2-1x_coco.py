_base_ = [
    'mmdet::_base_/models/cascade-mask-rcnn_r50_fpn.py',
    '../_base_/datasets/coco_instance.py',
    '../_base_/schedules/coco_bs16_1x.py',
    '../_base_/default_runtime_mmdet.py',
]

# The kernel sizes of the authors' ImageNet checkpoint.
model = dict(
    backbone=dict(
        type='ECAResNet',
        kernel_size=(3, 5, 5, 7),
        init_cfg=dict(checkpoint='checkpoints/eca-resnet50-k3557.pth', prefix='backbone.')))
