_base_ = [
    'mmpretrain::_base_/models/inception_v3.py',
    '../_base_/datasets/imagenet_bs64.py',
    '../_base_/schedules/imagenet_bs256_100e.py',
    '../_base_/default_runtime_mmpretrain.py',
]

# The network's own image size; the short side keeps the ratio of the 224 pixel networks.
train_dataloader = dict(
    dataset=dict(pipeline=[
        dict(type='SeedSample'),
        dict(type='LoadImageFromFile'),
        dict(type='RandomResizedCrop', scale=299, backend='pillow'),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        dict(type='PackInputs'),
    ]))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=342, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=299),
    dict(type='PackInputs'),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
