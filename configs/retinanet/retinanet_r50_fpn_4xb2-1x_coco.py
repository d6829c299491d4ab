_base_ = [
    'mmdet::_base_/models/retinanet_r50_fpn.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/coco_bs8_1x.py',
    '../_base_/default_runtime_mmdet.py',
]
