_base_ = [
    '../_base_/models/eca-mobilenet-v2.py',
    '../_base_/datasets/imagenet_bs24.py',
    '../_base_/schedules/imagenet_bs96_400e.py',
    '../_base_/default_runtime_mmpretrain.py',
]
