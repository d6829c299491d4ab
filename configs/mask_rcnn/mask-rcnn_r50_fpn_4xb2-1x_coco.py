_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    '../_base_/datasets/coco_instance.py',
    '../_base_/schedules/coco_bs8_1x.py',
    '../_base_/default_runtime_mmdet.py',
]
