_base_ = [
    '../_base_/models/retinanet_2xr50-eca_fpn.py',
    '../_base_/datasets/dsec_events.py',
    '../_base_/schedules/events_bs8_12e.py',
    '../_base_/default_runtime_mmdet.py',
]
