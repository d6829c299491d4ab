_base_ = [
    'mmpretrain::_base_/models/resnet152.py',
    '../_base_/datasets/imagenet_bs64.py',
    '../_base_/schedules/imagenet_bs256_100e.py',
    '../_base_/default_runtime_mmpretrain.py',
]
