_base_ = [
    'mmpretrain::_base_/models/mobilenet_v2_1x.py',
    '../_base_/datasets/imagenet_bs24.py',
    '../_base_/schedules/imagenet_bs96_400e.py',
    '../_base_/default_runtime_mmpretrain.py',
]
