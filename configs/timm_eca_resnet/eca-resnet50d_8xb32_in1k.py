_base_ = [
    '../_base_/models/eca-resnet50d.py',
    '../_base_/datasets/imagenet_bs32_bicubic.py',
    '../_base_/schedules/imagenet_bs256_100e.py',
    '../_base_/default_runtime_mmpretrain.py',
]
