_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/coco_bs16_1x.py',
    '../_base_/default_runtime_mmdet.py',
]

model = dict(
    backbone=dict(
        type='ECAResNetD',
        kernel_size='adaptive',
        init_cfg=dict(checkpoint='checkpoints/eca-resnet50d.pth', prefix='backbone.')))
