_base_ = [
    '../_base_/models/retinanet_2xr50-eca_fpn.py',
    '../_base_/datasets/ddd17_events.py',
    '../_base_/schedules/events_bs8_12e.py',
    '../_base_/default_runtime_mmdet.py',
]

model = dict(bbox_head=dict(num_classes=1))
