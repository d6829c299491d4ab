# Fine-tuning on ImageNet-style folders (train/<class>/, val/<class>/) of 200 classes with a few
# images each. docs/benchmarks.md has the commands and results, with pretrained weights and without.
_base_ = [
    'mmpretrain::_base_/models/mobilenet_v2_1x.py',
    '../_base_/default_runtime_mmpretrain.py',
]

model = dict(
    backbone=dict(
        type='ECAMobileNetV2',
        kernel_size='adaptive',
        # Gates of exactly 0.5 leave a pretrained network as it is: BN undoes a common factor.
        init_cfg=[
            dict(type='Kaiming', layer='Conv2d'),
            dict(type='Constant', layer='_BatchNorm', val=1),
            dict(type='Constant', layer='Conv1d', val=0),
        ]),
    head=dict(num_classes=200))
data_preprocessor = dict(
    num_classes=200, mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)

data_root = '{{$ECA_MM_IMAGENET_ROOT:data/imagenet}}'
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='SeededBatchSampler'),
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        data_prefix='train',
        pipeline=[
            dict(type='SeedSample'),
            dict(type='LoadImage'),
            dict(type='RandomResizedCrop', scale=128, crop_ratio_range=(0.35, 1.0)),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackInputs'),
        ]))
val_dataloader = dict(
    batch_size=50,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        data_prefix='val',
        pipeline=[
            dict(type='LoadImage'),
            dict(type='ResizeEdge', scale=146, edge='short'),
            dict(type='CenterCrop', crop_size=128),
            dict(type='PackInputs'),
        ]))
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_dataloader = val_dataloader
test_evaluator = val_evaluator

train_cfg = dict(type='RepeatableEpochLoop', max_epochs=10, val_interval=1)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=5e-4, weight_decay=1e-4),
    # The new classifier has to go far, what is pretrained does not.
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=4))))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=25),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=10, convert_to_iter_based=True),
]
default_hooks = dict(
    logger=dict(interval=5), checkpoint=dict(max_keep_ckpts=1))
randomness = dict(seed=0)
