_base_ = [
    '../_base_/models/eca-resnet50d.py',
    '../_base_/datasets/imagenet_bs32_bicubic_256_of_269.py',
    '../_base_/schedules/imagenet_bs256_100e.py',
    '../_base_/default_runtime_mmpretrain.py',
]

model = dict(backbone=dict(depth=200))
