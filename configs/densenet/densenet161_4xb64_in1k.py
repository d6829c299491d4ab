_base_ = [
    'mmpretrain::_base_/models/densenet/densenet161.py',
    'mmpretrain::_base_/datasets/imagenet_bs64_pil_resize.py',
    '../_base_/schedules/imagenet_bs256_100e.py',
    '../_base_/default_runtime_mmpretrain.py',
]
